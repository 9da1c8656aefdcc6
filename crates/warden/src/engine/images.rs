//! Images: what one is, and fetching it.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;

use super::connection::Call;
use super::error::{EngineError, Kind, cut};
use super::{Engine, names};

/// How long fetching an image may tell nothing before it is given up. Its whole time is the caller's to bound.
pub const PULL_SILENCE: Duration = Duration::from_secs(120);

/// One image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// `sha256:…`
    pub id: String,
    /// Names that it has here.
    pub tags: Vec<String>,
    /// The user that its containers run as; empty for root.
    pub user: String,
    /// `NAME=value` each.
    pub environment: Vec<String>,
    /// Its entrypoint.
    pub entrypoint: Vec<String>,
    /// Its command.
    pub command: Vec<String>,
    /// Its working directory.
    pub cwd: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its architecture, such as `amd64`.
    pub architecture: String,
}

/// How far the fetching of an image is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullProgress {
    /// The layer that it is about; empty for the whole.
    pub layer: String,
    /// What is being done, in the engine's words, cut.
    pub status: String,
    /// Bytes done.
    pub done: u64,
    /// Bytes in all; 0 when unknown.
    pub total: u64,
}

impl Engine {
    /// One image, by reference or id.
    ///
    /// # Errors
    /// `NotFound` when it is not here; it may still be fetched.
    pub async fn inspect_image(&self, reference: &str) -> Result<Image, EngineError> {
        let name = names::image(reference)?;
        let call = Call::question("inspect an image", Kind::Image, name);
        let found = self.call(call, async |docker| docker.inspect_image(name).await).await?;
        let config = found.config.unwrap_or_default();
        Ok(Image {
            id: found.id.unwrap_or_default(),
            tags: found.repo_tags.unwrap_or_default(),
            user: config.user.unwrap_or_default(),
            environment: config.env.unwrap_or_default(),
            entrypoint: config.entrypoint.unwrap_or_default(),
            command: config.cmd.unwrap_or_default(),
            cwd: config.working_dir.unwrap_or_default(),
            labels: config.labels.unwrap_or_default().into_iter().collect(),
            architecture: found.architecture.unwrap_or_default(),
        })
    }

    /// Fetches an image and gives what it is. `tell` hears how far it is, often.
    ///
    /// # Errors
    /// `NotFound` when no registry has it; `Refused` with the engine's words when it cannot be fetched; `TimedOut` when
    /// nothing was heard for [`PULL_SILENCE`].
    pub async fn pull_image(
        &self,
        reference: &str,
        mut tell: impl FnMut(PullProgress),
    ) -> Result<Image, EngineError> {
        let name = names::tagged(names::image(reference)?);
        let mut call = Call::question("fetch an image", Kind::Image, &name);
        call.limit = PULL_SILENCE;
        let connection = self.connection().await?;
        let options = CreateImageOptionsBuilder::default().from_image(&name).build();
        let mut told = Box::pin(connection.docker.create_image(Some(options), None, None));
        loop {
            let Ok(next) = tokio::time::timeout(call.limit, told.next()).await else {
                return Err(EngineError::TimedOut { call: call.what, after: call.limit });
            };
            match next {
                None => break,
                Some(Ok(step)) => {
                    let bytes =
                        |count: Option<i64>| count.unwrap_or_default().try_into().unwrap_or(0);
                    let progress = step.progress_detail.unwrap_or_default();
                    tell(PullProgress {
                        layer: cut(&step.id.unwrap_or_default()),
                        status: cut(&step.status.unwrap_or_default()),
                        done: bytes(progress.current),
                        total: bytes(progress.total),
                    });
                }
                Some(Err(error)) => {
                    let error = call.error(&connection.about.address, error);
                    self.notice(&error);
                    return Err(error);
                }
            }
        }
        self.inspect_image(&name).await
    }
}
