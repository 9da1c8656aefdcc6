//! Where a test has the installer die.

/// Ends this process by SIGKILL when the environment variable `CLAWRDEN_CRASH_AT` is `install:N` and this is the `N`th
/// change that it is about to make. Debug builds only.
#[cfg(debug_assertions)]
pub(crate) fn point() {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static CHOSEN: OnceLock<Option<u64>> = OnceLock::new();
    static MADE: AtomicU64 = AtomicU64::new(0);
    let chosen = CHOSEN.get_or_init(|| {
        let word = std::env::var("CLAWRDEN_CRASH_AT").ok()?;
        word.strip_prefix("install:")?.parse().ok()
    });
    if *chosen == Some(MADE.fetch_add(1, Ordering::Relaxed)) {
        let own = rustix::process::getpid();
        // A process may always signal itself.
        let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    }
}

/// Nothing, in a release.
#[cfg(not(debug_assertions))]
pub(crate) fn point() {}
