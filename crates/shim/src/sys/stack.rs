//! The stack of a child that works in our memory.

use core::cell::UnsafeCell;

use rustix::mm::{MprotectFlags, mprotect};

/// Bytes of the stack. Nothing that a child does needs as much as a tenth.
const STACK: usize = 64 * 1024;
/// The pages below it that cannot be used, as large as a page is on most machines.
const GUARD: usize = 4096;

/// A stack, with room for a page below it.
#[repr(C, align(16))]
struct Stack(UnsafeCell<[u8; 2 * GUARD + STACK]>);

// SAFETY: only one child at a time stands on it.
unsafe impl Sync for Stack {}

static ROOM: Stack = Stack(UnsafeCell::new([0; 2 * GUARD + STACK]));

fn bottom() -> usize {
    ROOM.0.get() as usize
}

/// Where it begins: it grows down.
pub(super) fn top() -> usize {
    bottom() + 2 * GUARD + STACK
}

/// Whether who asks stands on it.
pub(super) fn is_here() -> bool {
    let place = 0u8;
    (&raw const place as usize).wrapping_sub(bottom()) < 2 * GUARD + STACK
}

/// Lets a child that runs over its stack end, instead of writing on. Where pages are larger nothing is done.
pub(crate) fn guard() {
    let page = bottom().next_multiple_of(GUARD);
    // SAFETY: the page lies below the stack, and nothing is ever put there.
    let _ = unsafe { mprotect(page as *mut _, GUARD, MprotectFlags::empty()) };
}
