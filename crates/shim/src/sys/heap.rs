//! The heap of the program without libc; and a second one, for a child that works in the same memory. Each is used by one
//! process, which has one thread: they rely on it.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

use super::{arch, stack};

/// The first memory that a heap gives, so that a short life makes no mmap.
const FIRST: usize = 64 * 1024;
/// What a heap asks of the kernel at least.
const MORE: usize = 1024 * 1024;

/// A heap that only grows, but takes back what was given last, so that a growing vector moves seldom. Its own words come
/// first, on the page of what is given first: each further page costs a fault.
#[repr(C)]
struct Heap {
    area: UnsafeCell<Area>,
    /// The last mapping, and its size; it begins with those of the one before.
    last: UnsafeCell<(usize, usize)>,
    first: UnsafeCell<[u8; FIRST]>,
}

/// The free area.
struct Area {
    /// The next free address.
    at: usize,
    end: usize,
    /// Where the free area began at most.
    reached: usize,
}

// SAFETY: each is used by one process alone, which never starts a thread.
unsafe impl Sync for Heap {}

/// The program's, and its child's.
static HEAPS: [Heap; 2] = [const { Heap::new() }; 2];

/// The heap of who asks.
struct Own;

#[global_allocator]
static OWN: Own = Own;

/// Makes the program's heap ready to give.
///
/// # Safety
/// Nothing lies on it.
pub(super) unsafe fn begin() {
    // SAFETY: the caller's promise.
    unsafe { HEAPS[0].begin() };
}

/// Makes the heap of the next child ready to give.
///
/// # Safety
/// Nothing lies on it.
pub(super) unsafe fn begin_childs() {
    // SAFETY: the caller's promise.
    unsafe { HEAPS[1].begin() };
}

/// Gives back all memory of both, and leaves nothing in what stays.
///
/// # Safety
/// Nothing that lies on a heap is used any more.
pub(super) unsafe fn forget() {
    // SAFETY: the caller's promise.
    unsafe {
        HEAPS[0].forget();
        HEAPS[1].forget();
    }
}

impl Area {
    fn go(&mut self, to: usize) {
        self.at = to;
        self.reached = self.reached.max(to);
    }
}

impl Heap {
    const fn new() -> Self {
        let area = UnsafeCell::new(Area { at: 0, end: 0, reached: 0 });
        Self { area, last: UnsafeCell::new((0, 0)), first: UnsafeCell::new([0; FIRST]) }
    }

    /// Gives from its start. Written before anything is read of it: the kernel would first give a page to read, and then
    /// another one to write.
    ///
    /// # Safety
    /// Nothing that lies on it is used any more.
    unsafe fn begin(&self) {
        let first = self.first.get() as usize;
        // SAFETY: one thread, and no reference to the area is alive.
        unsafe { *self.area.get() = Area { at: first, end: first + FIRST, reached: first } };
    }

    /// # Safety
    /// As for [`Heap::begin`].
    #[inline(never)]
    unsafe fn forget(&self) {
        // SAFETY: nobody uses the heap, by the caller's promise; every mapping begins with two words that say where the one
        // before lies and how long it is.
        unsafe {
            let last = &mut *self.last.get();
            while last.0 != 0 {
                let before = *(last.0 as *const (usize, usize));
                let _ = rustix::mm::munmap(last.0 as *mut _, last.1);
                *last = before;
            }
            let (first, area) = (self.first.get() as usize, self.area());
            // One that ends elsewhere has gone through its first area; one that has not begun has reached nothing.
            let used = area.reached.saturating_sub(first).min(FIRST);
            arch::fill(first as *mut u8, 0, used);
            self.begin();
        }
    }

    /// # Safety
    /// No reference to the area may be alive: none leaves this module.
    #[allow(clippy::mut_from_ref)]
    unsafe fn area(&self) -> &mut Area {
        // SAFETY: one thread, and the caller holds no other.
        unsafe { &mut *self.area.get() }
    }
}

impl Own {
    // Three times the same would take room.
    #[inline(never)]
    fn heap(&self) -> &'static Heap {
        &HEAPS[usize::from(stack::is_here())]
    }
}

// SAFETY: every block lies in memory that is ours for good, and no two blocks overlap: `at` only goes back over a
// block that is given back.
unsafe impl GlobalAlloc for Own {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let heap = self.heap();
        // SAFETY: the reference ends with this function.
        let area = unsafe { heap.area() };
        let from = area.at.next_multiple_of(layout.align());
        // No sum here is too large for a word: a layout takes half of all addresses at most.
        let to = from + layout.size();
        if to <= area.end {
            area.go(to);
            return from as *mut u8;
        }
        let head = size_of::<(usize, usize)>();
        let size = (layout.size() + layout.align() + head).max(MORE).next_multiple_of(4096);
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
            let last = &mut *heap.last.get();
            *map.cast() = *last;
            *last = (map as usize, size);
        }
        let from = (map as usize + head).next_multiple_of(layout.align());
        area.end = map as usize + size;
        area.go(from + layout.size());
        from as *mut u8
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the reference ends with this function.
        let area = unsafe { self.heap().area() };
        if block as usize + layout.size() == area.at {
            area.at = block as usize;
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        {
            // SAFETY: the reference ends with this block.
            let area = unsafe { self.heap().area() };
            if block as usize + layout.size() == area.at {
                if block as usize + size <= area.end {
                    area.go(block as usize + size);
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
