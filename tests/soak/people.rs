//! Somebody who answers whatever is asked, as fast as it comes.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

/// Answers everything that waits: what ends in `no.` is denied, what ends in `left.` is left alone. Gives how many answers
/// were taken; nobody who serves is no failure.
pub(crate) fn answer(control: &Path) -> usize {
    let Some(queue) = ask(control, "GET", "/api/queue", "") else { return 0 };
    let mut taken = 0;
    for entry in queue["entries"].as_array().into_iter().flatten() {
        let (id, argv) = (entry["id"].as_str().unwrap(), entry["argv"].to_string());
        if argv.contains("left.") {
            continue;
        }
        let (verb, body) = match argv.contains("no.") {
            true => ("deny", r#"{"reason":"no"}"#),
            false => ("approve", "{}"),
        };
        let told = ask(control, "POST", &format!("/api/queue/{id}/{verb}"), body);
        taken += usize::from(told.is_some_and(|told| told["answer"].is_string()));
    }
    taken
}

/// Does `work` while somebody answers whatever is asked.
pub(crate) fn answering(control: &Path, work: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                if answer(control) == 0 {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        });
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        is_over.store(true, Ordering::SeqCst);
        done.unwrap();
    });
}

fn ask(control: &Path, method: &str, path: &str, body: &str) -> Option<Value> {
    let mut stream = UnixStream::connect(control).ok()?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut said = String::new();
    stream.read_to_string(&mut said).ok()?;
    let body = said.split_once("\r\n\r\n")?.1;
    serde_json::from_str(&body[body.find('{')?..=body.rfind('}')?]).ok()
}
