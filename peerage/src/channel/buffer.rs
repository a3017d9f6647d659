//! Buffers for contents on their way from a value into the outgoing bytes of a link.
//!
//! Such a buffer lives for an instant, and there is one for every call and every answer. Each thread keeps a few, so that
//! a steady stream of small calls asks the allocator for nothing.

use std::cell::RefCell;

/// A buffer that goes back to its thread when it is dropped.
pub(super) struct Buffer(pub(super) Vec<u8>);

impl Buffer {
    /// An empty buffer.
    #[inline]
    pub(super) fn take() -> Buffer {
        // While the thread ends there is no store any more.
        Buffer(KEPT.try_with(|kept| kept.borrow_mut().pop()).ok().flatten().unwrap_or_default())
    }

    /// Gives back memory that is too much to be kept for a while.
    #[inline]
    pub(super) fn shrink(&mut self) {
        if self.0.capacity() > KEPT_BYTES_MAX {
            self.0 = Vec::new();
        }
    }
}

impl Drop for Buffer {
    #[inline]
    fn drop(&mut self) {
        if self.0.capacity() == 0 || self.0.capacity() > KEPT_BYTES_MAX {
            return;
        }
        let mut buffer = std::mem::take(&mut self.0);
        buffer.clear();
        // While the thread ends there is no store any more; the buffer is freed then.
        let _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < KEPT_MAX {
                kept.push(buffer);
            }
        });
    }
}

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Buffers that a thread keeps.
const KEPT_MAX: usize = 16;

/// Largest buffer that is kept, in bytes.
const KEPT_BYTES_MAX: usize = 4 << 10;
