//! The image of a ghost: looked up, or fetched where the policy says so.

use std::time::{Duration, Instant};

use clawrden_policy::{GhostImage, Pull};

use crate::engine::{Container, Engine, EngineError, Image, PullProgress};

/// How often the caller is told how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(2);

/// Finds the image that is meant; `tell` gets a line now and then while it is fetched. The text says why there is none.
pub(super) async fn find(
    engine: &Engine,
    wanted: &GhostImage,
    home: Option<&Container>,
    tell: impl FnMut(String),
) -> Result<Image, String> {
    if wanted.is_same() {
        let Some(home) = home else {
            return Err(
                "`image: same` is the image of the caller's container, and the caller is in none"
                    .to_owned(),
            );
        };
        return engine.inspect_image(&home.image_id).await.map_err(|error| error.to_string());
    }
    let name = &wanted.image;
    if wanted.pull != Pull::Always {
        match engine.inspect_image(name).await {
            Ok(found) => return Ok(found),
            Err(error) if !error.is_not_found() => return Err(error.to_string()),
            Err(_) if wanted.pull == Pull::Never => {
                return Err(format!(
                    "the image {name} is not here, and its policy says `pull: never`; fetch it on the warden's host"
                ));
            }
            Err(_) => {}
        }
    }
    let mut tell = progress(name, tell);
    // Before anything is heard, which may take long.
    tell(PullProgress::default());
    let fetched = engine.pull_image(name, tell).await;
    fetched.map_err(|error| match error {
        EngineError::NotFound { message, .. } => {
            format!(
                "there is no image {name}, neither here nor where it is fetched from: {message}"
            )
        }
        error => format!("the image {name} cannot be fetched: {error}"),
    })
}

/// Makes lines of progress, a few.
fn progress(name: &str, mut tell: impl FnMut(String)) -> impl FnMut(PullProgress) {
    let name = name.to_owned();
    let mut layers: Vec<(String, u64, u64)> = Vec::new();
    let mut last: Option<Instant> = None;
    move |step: PullProgress| {
        if step.total > 0 {
            match layers.iter_mut().find(|(layer, ..)| *layer == step.layer) {
                Some(known) => (known.1, known.2) = (step.done, step.total),
                None => layers.push((step.layer, step.done, step.total)),
            }
        }
        if last.is_some_and(|last| last.elapsed() < TOLD_EVERY) {
            return;
        }
        last = Some(Instant::now());
        let (done, total) =
            layers.iter().fold((0, 0), |sum, layer| (sum.0 + layer.1, sum.1 + layer.2));
        tell(match total {
            0 => format!("fetching the image {name}"),
            _ => format!("fetching the image {name}: {} of {} MB", done >> 20, total >> 20),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_at_once_and_then_now_and_then() {
        let mut told = Vec::new();
        let mut step = progress("a:1", |line| told.push(line));
        let of = |layer: &str, done, total| PullProgress {
            layer: layer.to_owned(),
            status: String::new(),
            done,
            total,
        };
        step(of("", 0, 0));
        for done in 0..100 {
            step(of("x", done << 20, 100 << 20));
        }
        drop(step);
        assert_eq!(told, ["fetching the image a:1"]);
    }
}
