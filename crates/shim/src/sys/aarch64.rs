//! What differs on aarch64: the entry, the syscall instruction, the syscall numbers, moving memory.

use core::arch::asm;

#[cfg(all(feature = "raw", not(test)))]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, #0",
    "mov x30, #0",
    "mov x0, sp",
    "bl {enter}",
    "brk #1",
    enter = sym super::bare::enter,
);

/// Syscall numbers that rustix has no function for.
pub(super) mod nr {
    pub(in crate::sys) const IOCTL: usize = 29;
    pub(in crate::sys) const CLOSE: usize = 57;
    pub(in crate::sys) const PPOLL: usize = 73;
    pub(in crate::sys) const EXIT_GROUP: usize = 94;
    pub(in crate::sys) const EXECVE: usize = 221;
    pub(in crate::sys) const EXECVEAT: usize = 281;
    pub(in crate::sys) const CLONE: usize = 220;
    pub(in crate::sys) const RT_SIGACTION: usize = 134;
    pub(in crate::sys) const RT_SIGPROCMASK: usize = 135;
    pub(in crate::sys) const DUP3: usize = 24;
    pub(in crate::sys) const GETCWD: usize = 17;
    pub(in crate::sys) const KILL: usize = 129;
    pub(in crate::sys) const CLOCK_GETTIME: usize = 113;
    pub(in crate::sys) const SIGNALFD4: usize = 74;
    pub(in crate::sys) const PRLIMIT64: usize = 261;
    pub(in crate::sys) const PSELECT6: usize = 72;
    pub(in crate::sys) const CLOSE_RANGE: usize = 436;
}

/// Makes a syscall and gives the kernel's answer as it is.
///
/// # Safety
/// The kernel writes where the arguments point: pointers among them must be to memory of the size that the call
/// writes or reads.
pub(super) unsafe fn syscall(number: usize, args: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = args;
    let answer: isize;
    // SAFETY: the kernel keeps every register but x0; the memory is the caller's promise.
    unsafe {
        asm!(
            "svc #0",
            in("x8") number,
            inlateout("x0") a => answer,
            in("x1") b,
            in("x2") c,
            in("x3") d,
            in("x4") e,
            in("x5") f,
            options(nostack),
        );
    }
    answer
}

/// Makes a child that begins in `enter` on a stack of its own. The stack's first address goes to `enter`.
///
/// # Safety
/// The stack is nobody else's, its address a multiple of 16, and what `enter` does is safe in a child of these flags.
#[cfg(all(feature = "raw", not(test)))]
pub(super) unsafe fn clone_onto<T>(
    flags: usize,
    stack: usize,
    enter: extern "C" fn(*const T) -> !,
) -> isize {
    let answer: isize;
    // SAFETY: the parent goes on as after any syscall; the child never comes back from `enter`.
    unsafe {
        asm!(
            "svc #0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, sp",
            "blr {enter}",
            "brk #1",
            "2:",
            enter = in(reg) enter,
            in("x8") nr::CLONE,
            inlateout("x0") flags => answer,
            in("x1") stack,
            in("x2") 0usize,
            in("x3") 0usize,
            in("x4") 0usize,
        );
    }
    answer
}

/// Copies `n` bytes upwards from the first, eight at a time while there are as many.
///
/// # Safety
/// As for `memcpy`, but the areas may overlap when `to` lies before `from`.
#[cfg(all(feature = "raw", not(test)))]
pub(super) unsafe fn copy_up(to: *mut u8, from: *const u8, n: usize) {
    // SAFETY: the caller's promise; unaligned loads and stores are allowed on normal memory.
    unsafe {
        asm!(
            "2:",
            "cmp {n}, #8",
            "b.lo 3f",
            "ldr {word}, [{from}], #8",
            "str {word}, [{to}], #8",
            "sub {n}, {n}, #8",
            "b 2b",
            "3:",
            "cbz {n}, 4f",
            "ldrb {word:w}, [{from}], #1",
            "strb {word:w}, [{to}], #1",
            "sub {n}, {n}, #1",
            "b 3b",
            "4:",
            n = inout(reg) n => _,
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            word = out(reg) _,
            options(nostack),
        );
    }
}

/// Copies `n` bytes downwards from the last.
///
/// # Safety
/// As for `memmove`.
#[cfg(all(feature = "raw", not(test)))]
pub(super) unsafe fn copy_down(to: *mut u8, from: *const u8, n: usize) {
    // SAFETY: the caller's promise; both pointers stay within their areas, as the loop ends at index 0.
    unsafe {
        asm!(
            "2:",
            "cbz {n}, 3f",
            "sub {n}, {n}, #1",
            "ldrb {byte:w}, [{from}, {n}]",
            "strb {byte:w}, [{to}, {n}]",
            "b 2b",
            "3:",
            n = inout(reg) n => _,
            from = in(reg) from,
            to = in(reg) to,
            byte = out(reg) _,
            options(nostack),
        );
    }
}

/// Sets `n` bytes.
///
/// # Safety
/// As for `memset`.
#[cfg(all(feature = "raw", not(test)))]
pub(super) unsafe fn fill(to: *mut u8, byte: u8, n: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "2:",
            "cbz {n}, 3f",
            "strb {byte:w}, [{to}], #1",
            "sub {n}, {n}, #1",
            "b 2b",
            "3:",
            n = inout(reg) n => _,
            to = inout(reg) to => _,
            byte = in(reg) u32::from(byte),
            options(nostack),
        );
    }
}

/// Bytes before the NUL.
///
/// # Safety
/// As for `strlen`.
#[cfg(all(feature = "raw", not(test)))]
pub(super) unsafe fn length(text: *const u8) -> usize {
    let length;
    // SAFETY: the caller's promise; nothing behind the NUL is read.
    unsafe {
        asm!(
            "mov {n}, #0",
            "2:",
            "ldrb {byte:w}, [{text}, {n}]",
            "cbz {byte:w}, 3f",
            "add {n}, {n}, #1",
            "b 2b",
            "3:",
            n = out(reg) length,
            text = in(reg) text,
            byte = out(reg) _,
            options(nostack, readonly),
        );
    }
    length
}
