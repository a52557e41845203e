//! The program.

/// With many objects in memory it takes a third less time than the C library's, and less room when idle
/// (docs/measurements.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    give_unused_memory_back_at_once();
    triggerfish::cli::main()
}

/// A server that is idle after its start has no later allocation that would do it.
#[allow(unsafe_code)]
fn give_unused_memory_back_at_once() {
    /// `mi_option_purge_delay` of mimalloc.h (versions 2 and 3), milliseconds.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    // SAFETY: it stores a number in a table of the allocator, and ignores an option that it does not know. It must not
    // run beside other threads: here there are none yet.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 0) }
}
