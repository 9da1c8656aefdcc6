//! What differs on x86-64: the entry, the syscall instruction, the syscall numbers, moving memory.

use core::arch::asm;

#[cfg(all(feature = "raw", not(test)))]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {enter}",
    "ud2",
    enter = sym super::bare::enter,
);

/// Syscall numbers that rustix has no function for.
pub(super) mod nr {
    pub(in crate::sys) const IOCTL: usize = 16;
    pub(in crate::sys) const CLOSE: usize = 3;
    pub(in crate::sys) const PPOLL: usize = 271;
    pub(in crate::sys) const EXIT_GROUP: usize = 231;
    pub(in crate::sys) const EXECVE: usize = 59;
    pub(in crate::sys) const EXECVEAT: usize = 322;
    pub(in crate::sys) const CLONE: usize = 56;
    pub(in crate::sys) const RT_SIGACTION: usize = 13;
    pub(in crate::sys) const RT_SIGPROCMASK: usize = 14;
    pub(in crate::sys) const DUP3: usize = 292;
    pub(in crate::sys) const GETCWD: usize = 79;
    pub(in crate::sys) const KILL: usize = 62;
    pub(in crate::sys) const CLOCK_GETTIME: usize = 228;
    pub(in crate::sys) const SIGNALFD4: usize = 289;
    pub(in crate::sys) const PRLIMIT64: usize = 302;
    pub(in crate::sys) const PSELECT6: usize = 270;
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
    // SAFETY: the kernel keeps every register but rax, rcx and r11; the memory is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => answer,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            in("r8") e,
            in("r9") f,
            lateout("rcx") _,
            lateout("r11") _,
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
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, rsp",
            "call {enter}",
            "ud2",
            "2:",
            enter = in(reg) enter,
            inlateout("rax") nr::CLONE => answer,
            in("rdi") flags,
            in("rsi") stack,
            in("rdx") 0usize,
            in("r10") 0usize,
            in("r8") 0usize,
            out("rcx") _,
            out("r11") _,
        );
    }
    answer
}

/// Copies `n` bytes upwards from the first.
///
/// # Safety
/// As for `memcpy`, but the areas may overlap when `to` lies before `from`.
#[cfg(all(feature = "raw", not(test)))]
pub(super) unsafe fn copy_up(to: *mut u8, from: *const u8, n: usize) {
    // SAFETY: the caller's promise; the direction flag is clear at every function's entry.
    unsafe {
        asm!(
            "rep movsb",
            inout("rcx") n => _,
            inout("rdi") to => _,
            inout("rsi") from => _,
            options(nostack, preserves_flags),
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
            "test {n}, {n}",
            "jz 3f",
            "dec {n}",
            "mov {byte}, [{from} + {n}]",
            "mov [{to} + {n}], {byte}",
            "jmp 2b",
            "3:",
            n = inout(reg) n => _,
            from = in(reg) from,
            to = in(reg) to,
            byte = out(reg_byte) _,
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
    // SAFETY: the caller's promise; the direction flag is clear at every function's entry.
    unsafe {
        asm!(
            "rep stosb",
            inout("rcx") n => _,
            inout("rdi") to => _,
            in("al") byte,
            options(nostack, preserves_flags),
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
    // SAFETY: the caller's promise. Blocks of 16 bytes from an address that is a multiple of 16 lie in one page each, and
    // no block is read but those that hold a byte of the text or its NUL.
    unsafe {
        asm!(
            "pxor {zero}, {zero}",
            "mov {at}, {text}",
            "and {at}, -16",
            "mov ecx, {text:e}",
            "and ecx, 15",
            "movdqa {block}, [{at}]",
            "pcmpeqb {block}, {zero}",
            "pmovmskb {found:e}, {block}",
            "shr {found:e}, cl",
            "shl {found:e}, cl",
            "jmp 3f",
            "2:",
            "add {at}, 16",
            "movdqa {block}, [{at}]",
            "pcmpeqb {block}, {zero}",
            "pmovmskb {found:e}, {block}",
            "3:",
            "test {found:e}, {found:e}",
            "jz 2b",
            "bsf {found:e}, {found:e}",
            "sub {at}, {text}",
            "add {at}, {found}",
            zero = out(xmm_reg) _,
            block = out(xmm_reg) _,
            text = in(reg) text,
            at = out(reg) length,
            found = out(reg) _,
            out("ecx") _,
            options(nostack, readonly),
        );
    }
    length
}
