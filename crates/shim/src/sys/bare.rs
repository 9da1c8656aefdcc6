//! What a program without libc and std must bring itself: entry, heap, memory functions, panic.
//!
//! There is one thread, ever; the heap relies on it.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

use super::arch;
use super::start::Start;

pub(super) extern "C" fn enter(stack: *const usize) -> ! {
    // SAFETY: the kernel starts a program with argc on top of the stack, argv and the environment behind it.
    let start = unsafe {
        let argc = *stack;
        let argv = stack.add(1).cast::<*const u8>();
        Start::new(argv, argv.add(argc + 1))
    };
    crate::main_of(&start)
}

/// The first memory that the heap gives, so that a short life makes no mmap.
const FIRST: usize = 64 * 1024;
/// What the heap asks of the kernel at least.
const MORE: usize = 1024 * 1024;

/// A heap that only grows, but takes back what was given last, so that a growing vector moves seldom. Its own words come
/// first, on the page that the kernel has made writable already to start the program: each further page costs a fault.
#[repr(C)]
struct Heap {
    /// The next free address and the end of the free area; 0 before the first use.
    area: UnsafeCell<(usize, usize)>,
    /// The last mapping, and its size; it begins with those of the one before.
    last: UnsafeCell<(usize, usize)>,
    first: UnsafeCell<[u8; FIRST]>,
}

// SAFETY: the program never starts a thread.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap {
    area: UnsafeCell::new((0, 0)),
    last: UnsafeCell::new((0, 0)),
    first: UnsafeCell::new([0; FIRST]),
};

/// Gives back all memory, and leaves nothing in what stays.
///
/// # Safety
/// Nothing that lies on the heap is used any more.
pub(super) unsafe fn forget_heap() {
    // SAFETY: nobody uses the heap, by the caller's promise; every mapping begins with two words that say where the one
    // before lies and how long it is.
    unsafe {
        let last = &mut *HEAP.last.get();
        while last.0 != 0 {
            let before = *(last.0 as *const (usize, usize));
            let _ = rustix::mm::munmap(last.0 as *mut _, last.1);
            *last = before;
        }
        let first = HEAP.first.get() as usize;
        let area = HEAP.area();
        let used = if (first..=first + FIRST).contains(&area.0) { area.0 - first } else { FIRST };
        arch::fill(first as *mut u8, 0, used);
        *area = (first, first + FIRST);
    }
}

impl Heap {
    /// # Safety
    /// No reference to the area may be alive: none leaves this module.
    #[allow(clippy::mut_from_ref)]
    unsafe fn area(&self) -> &mut (usize, usize) {
        // SAFETY: one thread, and the caller holds no other.
        let area = unsafe { &mut *self.area.get() };
        if area.1 == 0 {
            let first = self.first.get() as usize;
            *area = (first, first + FIRST);
        }
        area
    }
}

// SAFETY: every block lies in memory that is ours for good, and no two blocks overlap: `at` only goes back over a
// block that is given back.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the reference ends with this function.
        let (at, end) = unsafe { self.area() };
        let from = at.next_multiple_of(layout.align());
        if let Some(to) = from.checked_add(layout.size()).filter(|to| to <= end) {
            *at = to;
            return from as *mut u8;
        }
        let head = size_of::<(usize, usize)>();
        let Some(size) = layout.size().checked_add(layout.align() + head) else {
            return core::ptr::null_mut();
        };
        let size = size.max(MORE).next_multiple_of(4096);
        // SAFETY: a private mapping at an address of the kernel's choice touches nothing of ours.
        let map = unsafe {
            mmap_anonymous(
                core::ptr::null_mut(),
                size,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        };
        let Ok(map) = map else { return core::ptr::null_mut() };
        // SAFETY: the mapping is fresh and begins on a page; no other reference to `last` is alive.
        unsafe {
            let last = &mut *self.last.get();
            *map.cast() = *last;
            *last = (map as usize, size);
        }
        let from = (map as usize + head).next_multiple_of(layout.align());
        (*at, *end) = (from + layout.size(), map as usize + size);
        from as *mut u8
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the reference ends with this function.
        let (at, _) = unsafe { self.area() };
        if block as usize + layout.size() == *at {
            *at = block as usize;
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        {
            // SAFETY: the reference ends with this block.
            let (at, end) = unsafe { self.area() };
            if block as usize + layout.size() == *at {
                if let Some(to) = (block as usize).checked_add(size).filter(|to| to <= end) {
                    *at = to;
                    return block;
                }
            } else if size <= layout.size() {
                return block;
            }
        }
        // SAFETY: the alignment is that of a layout, and Rust's callers keep sizes under isize::MAX.
        let new = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !new.is_null() {
            // SAFETY: both blocks have at least as many bytes, and the old one is still in place.
            unsafe { arch::copy_up(new, block, layout.size().min(size)) };
        }
        new
    }
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

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    crate::say::fail(clawrden_protocol::limits::EXIT_UNREACHABLE, "an internal error in the shim")
}

/// What the precompiled `alloc` names for unwinding. Nothing unwinds: a panic ends the program.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    super::process::exit(clawrden_protocol::limits::EXIT_UNREACHABLE)
}
