//! Volumes that are only names of folders.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bollard::query_parameters::ListVolumesOptions;

use super::Engine;
use super::connection::Call;
use super::error::{EngineError, Kind};

impl Engine {
    /// The volumes that were made of a folder of the engine's host (`--opt type=none --opt o=bind --opt device=…`), and
    /// the folder of each. What is mounted of such a volume is told with another path.
    ///
    /// # Errors
    /// [`EngineError`] as for every call.
    pub async fn folders_of_volumes(&self) -> Result<BTreeMap<String, PathBuf>, EngineError> {
        let call = Call::question("list volumes", Kind::Engine, "");
        let nothing = None::<ListVolumesOptions>;
        let found = self.call(call, async |docker| docker.list_volumes(nothing).await).await?;
        let of_folders = found.volumes.unwrap_or_default().into_iter().filter_map(|volume| {
            let is_bind = |options: &str| options.split(',').any(|o| o == "bind" || o == "rbind");
            volume.options.get("o").filter(|options| is_bind(options))?;
            let folder = volume.options.get("device").filter(|path| path.starts_with('/'))?;
            Some((volume.name, PathBuf::from(folder)))
        });
        Ok(of_folders.collect())
    }
}
