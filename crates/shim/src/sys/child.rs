//! A child that is to execute a program.
//!
//! It works beside its parent in the same memory, as far as it can be trusted with that: to copy it takes as long as about all
//! else that the child does until it executes. It has a stack and a heap of its own there, and everything else that a process has:
//! descriptors, signals, limits. A program with a libc has no such heap, and copies.

use rustix::io::Errno;
use rustix::process::Pid;

/// What a child does. It owns descriptors, and nothing else: of those both have one.
pub(crate) trait Work {
    /// Does it. What it borrows stays in its place until it has executed another program or ended.
    fn run(self) -> !;
}

#[cfg(any(not(feature = "raw"), test))]
pub(crate) use copied::start;
#[cfg(all(feature = "raw", not(test)))]
pub(crate) use shared::start;

#[cfg(all(feature = "raw", not(test)))]
pub(crate) use super::stack::guard;

/// Leaves things as they are: nothing of ours bounds the stack of a copy.
#[cfg(any(not(feature = "raw"), test))]
pub(crate) fn guard() {}

#[cfg(any(not(feature = "raw"), test))]
mod copied {
    use super::{Errno, Pid, Work};
    use crate::sys::process;

    /// As the other one.
    pub(crate) fn start<W: Work>(_: bool, work: W) -> Result<Pid, Errno> {
        match process::fork()? {
            Some(child) => Ok(child),
            None => work.run(),
        }
    }
}

#[cfg(all(feature = "raw", not(test)))]
mod shared {
    use super::{Errno, Pid, Work};
    use crate::sys::{arch, heap, signal, stack, usable};

    /// Starts a child that does `work`: in this memory where it `shares` it, on a copy otherwise or where the kernel refuses.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn start<W: Work>(shares: bool, work: W) -> Result<Pid, Errno> {
        const VM: usize = 0x100;
        let top = stack::top();
        let place = (top - size_of::<W>()) & !15;
        let copied = usize::from(signal::CHLD);
        let mut flags = if shares { copied | VM } else { copied };
        // SAFETY: the child before this one has left the stack and the heap: the caller starts one at a time. The copy of `work`
        // is the child's alone. Ours is dropped here, which closes our descriptors and touches no memory. The stack pointer is
        // a multiple of 16, as both architectures want it.
        let made = unsafe {
            heap::begin_childs();
            (place as *mut W).copy_from_nonoverlapping(&raw const work, 1);
            loop {
                match usable(arch::clone_onto(flags, place, enter::<W>)) {
                    Err(_) if flags != copied => flags = copied,
                    made => break made,
                }
            }
        };
        drop(work);
        i32::try_from(made?).ok().and_then(Pid::from_raw).ok_or(Errno::CHILD)
    }

    /// Where the child begins.
    extern "C" fn enter<W: Work>(place: *const W) -> ! {
        // SAFETY: the parent has put it there for this child alone.
        let work = unsafe { place.read() };
        work.run()
    }
}
