//! Opening again what was judged: a plan holds no descriptor, and what its paths lead to must still be the same.

use std::sync::Arc;

use crate::plan::{Cwd, Depth, Opened, Root, Tool, Workers};

/// The files of a plan, found unchanged.
pub(super) struct Reopened {
    pub(super) tool: Opened,
    pub(super) cwd: Option<Opened>,
}

/// Opens tool and working directory under `root`. What the kernel does not have at hand is looked up by a worker.
pub(super) async fn reopen(
    root: Arc<Root>,
    tool: &Tool,
    cwd: Option<&Cwd>,
    workers: &Workers,
) -> Result<Reopened, String> {
    if let Some(opened) = look(&root, tool, cwd, Depth::Cached) {
        return opened;
    }
    let (tool, cwd) = (tool.clone(), cwd.cloned());
    let looked = workers.run(move || look(&root, &tool, cwd.as_ref(), Depth::Full)).await;
    let looked = looked.map_err(|error| error.to_string())?;
    looked.unwrap_or_else(|| Err("its files cannot be looked at".to_owned()))
}

/// `None` when the depth does not suffice.
fn look(
    root: &Root,
    tool: &Tool,
    cwd: Option<&Cwd>,
    depth: Depth,
) -> Option<Result<Reopened, String>> {
    let changed =
        |what: &str| Err(format!("{what} has changed since the decision; repeat the command"));
    let open = |path: &[u8]| match root.lookup(path, depth) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => None,
        other => Some(other.ok()),
    };
    let Some(tool) = open(&tool.path)?.filter(|opened| opened.id == tool.id) else {
        return Some(changed("the executable"));
    };
    let cwd = match cwd {
        None => None,
        Some(Cwd { path, id }) => {
            match open(path)?.filter(|opened| (opened.id.device, opened.id.inode) == *id) {
                None => return Some(changed("the working directory")),
                found => found,
            }
        }
    };
    Some(Ok(Reopened { tool, cwd }))
}
