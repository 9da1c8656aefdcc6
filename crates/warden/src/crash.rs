//! Places where a test build can be killed as by `kill -9`, to prove that nothing is lost there.

/// Ends the process at once when the environment variable `CLAWRDEN_CRASH_AT` names this place. Debug builds only.
#[inline]
pub(crate) fn point(place: &str) {
    #[cfg(debug_assertions)]
    {
        use std::sync::OnceLock;
        static CHOSEN: OnceLock<Option<String>> = OnceLock::new();
        let chosen = CHOSEN.get_or_init(|| std::env::var("CLAWRDEN_CRASH_AT").ok());
        if chosen.as_deref() == Some(place) {
            // Nothing is flushed and no destructor runs, as with a real crash.
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
        }
    }
    let _ = place;
}
