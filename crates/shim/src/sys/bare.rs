//! What a program without libc and std must bring itself, beside its heap: entry, memory functions, panic.

use super::start::Start;
use super::{arch, heap};

pub(super) extern "C" fn enter(stack: *const usize) -> ! {
    // SAFETY: the kernel starts a program with argc on top of the stack, argv and the environment behind it. Nothing is on
    // the heap yet.
    let start = unsafe {
        heap::begin();
        let argc = *stack;
        let argv = stack.add(1).cast::<*const u8>();
        Start::new(argv, argv.add(argc + 1))
    };
    crate::main_of(&start)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    // SAFETY: the caller's promise is memcpy's.
    unsafe { arch::copy_up(to, from, n) };
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    // SAFETY: the caller's promise is memmove's; upwards is safe unless `to` lies inside the source.
    unsafe {
        if (to as usize).wrapping_sub(from as usize) >= n {
            arch::copy_up(to, from, n);
        } else {
            arch::copy_down(to, from, n);
        }
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, n: usize) -> *mut u8 {
    let [byte, ..] = byte.to_le_bytes();
    // SAFETY: the caller's promise is memset's.
    unsafe { arch::fill(to, byte, n) };
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    for i in 0..n {
        // SAFETY: both areas have `n` bytes by the caller's promise. Volatile keeps the compiler from making a
        // call to memcmp of this loop.
        let (x, y) = unsafe { (a.add(i).read_volatile(), b.add(i).read_volatile()) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    // SAFETY: the caller's promise is memcmp's.
    unsafe { memcmp(a, b, n) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    // SAFETY: the caller's promise is strlen's.
    unsafe { arch::length(text) }
}

/// What the precompiled `alloc` names for unwinding. Nothing unwinds: a panic ends the program.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    super::process::exit(clawrden_protocol::limits::EXIT_UNREACHABLE)
}
