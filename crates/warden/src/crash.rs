//! Places where a test build can be killed as by `kill -9`, to prove that nothing is lost there, or be made to wait, to prove
//! that nothing comes in between.

/// Ends the process at once when the environment variable `CLAWRDEN_CRASH_AT` names this place. The first time that it
/// comes to the one that `CLAWRDEN_WAIT_AT=PLACE:FILE` names, it makes the file and waits until that is removed. Debug builds
/// only.
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
        wait(place);
    }
    let _ = place;
}

#[cfg(debug_assertions)]
fn wait(place: &str) {
    use std::sync::Mutex;
    static CHOSEN: Mutex<Option<Option<String>>> = Mutex::new(None);
    let file = {
        let mut chosen = CHOSEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let chosen = chosen.get_or_insert_with(|| std::env::var("CLAWRDEN_WAIT_AT").ok());
        let at = chosen.as_deref().and_then(|at| at.strip_prefix(place)?.strip_prefix(':'));
        let Some(file) = at.map(std::path::PathBuf::from) else { return };
        *chosen = None;
        file
    };
    // Without a file nobody waits.
    let _ = std::fs::write(&file, "");
    while file.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
