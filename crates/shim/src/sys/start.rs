//! What the kernel hands to a program when it starts: arguments, environment, auxiliary values.

use core::ffi::CStr;
use core::iter;

/// `AT_EXECFN`: the auxiliary value that points to the path that was executed.
const AT_EXECFN: usize = 31;

/// The start of this program. Everything in it lives as long as the program.
pub(crate) struct Start {
    argv: *const *const u8,
    envp: *const *const u8,
    exec: Option<&'static CStr>,
}

impl Start {
    /// # Safety
    /// `argv` and `envp` are the vectors that the kernel put on the stack: ended by null, strings ended by NUL,
    /// the auxiliary vector behind the environment.
    #[cfg_attr(test, allow(dead_code))]
    pub(super) unsafe fn new(argv: *const *const u8, envp: *const *const u8) -> Self {
        let mut at = envp;
        // SAFETY: null ends the environment, and the auxiliary vector follows it, ended by a type of 0.
        let exec = unsafe {
            while !(*at).is_null() {
                at = at.add(1);
            }
            let mut pair = at.add(1).cast::<[usize; 2]>();
            loop {
                match *pair {
                    [0, _] => break None,
                    [AT_EXECFN, text] => {
                        break Some(CStr::from_ptr(text as *const core::ffi::c_char));
                    }
                    _ => pair = pair.add(1),
                }
            }
        };
        Self { argv, envp, exec }
    }

    /// The arguments, the program's name first.
    pub(crate) fn args(&self) -> impl Iterator<Item = &CStr> {
        strings(self.argv)
    }

    /// The environment, in order.
    pub(crate) fn env(&self) -> impl Iterator<Item = &CStr> {
        strings(self.envp)
    }

    /// The path that was executed.
    pub(crate) fn exec(&self) -> &CStr {
        self.exec.or_else(|| self.args().next()).unwrap_or_default()
    }

    /// The value of a variable, the first of that name.
    pub(crate) fn variable(&self, name: &[u8]) -> Option<&[u8]> {
        self.env().find_map(|entry| entry.to_bytes().strip_prefix(name)?.strip_prefix(b"="))
    }
}

fn strings<'a>(mut at: *const *const u8) -> impl Iterator<Item = &'a CStr> {
    iter::from_fn(move || {
        // SAFETY: `Start::new` was promised vectors that null ends, of strings that a NUL ends and that live as
        // long as the program; the null itself is never passed.
        unsafe {
            let text = *at;
            if text.is_null() {
                return None;
            }
            at = at.add(1);
            Some(CStr::from_ptr(text.cast()))
        }
    })
}

/// The entry of the ordinary build, which libc calls.
#[cfg(not(any(feature = "raw", test)))]
#[unsafe(no_mangle)]
extern "C" fn main(_argc: i32, argv: *const *const u8, envp: *const *const u8) -> i32 {
    // SAFETY: libc passes the kernel's own vectors on.
    let start = unsafe { Start::new(argv, envp) };
    crate::main_of(&start)
}
