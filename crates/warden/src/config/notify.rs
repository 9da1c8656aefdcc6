//! The section `notify`: the channels by which people are told of what waits, and answer.

use std::collections::BTreeSet;

use clawrden_bridge::channel::Channel;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Most channels: each has a thread.
const MAX_CHANNELS: usize = 16;

/// The channels, in the order in which they are written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notify(pub Vec<Channel>);

impl<'de> Deserialize<'de> for Notify {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let channels = Vec::<Channel>::deserialize(from)?;
        if channels.len() > MAX_CHANNELS {
            return Err(D::Error::custom(format!("there are more than {MAX_CHANNELS} channels")));
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = channels.iter().find(|channel| !names.insert(&channel.name)) {
            return Err(D::Error::custom(format!("two channels are called {:?}", twice.name)));
        }
        Ok(Self(channels))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(channels: Vec<Value>) -> Result<Notify, String> {
        serde_json::from_value(channels.into()).map_err(|error| error.to_string())
    }

    fn desktop(name: impl std::fmt::Display) -> Value {
        json!({ "name": name.to_string(), "kind": "desktop" })
    }

    #[test]
    fn there_are_so_many_channels_at_most_and_each_has_a_name_of_its_own() {
        let most = read((0..MAX_CHANNELS).map(desktop).collect()).unwrap();
        assert_eq!(most.0.len(), 16);
        let more = read((0..=MAX_CHANNELS).map(desktop).collect()).unwrap_err();
        assert_eq!(more, "there are more than 16 channels");
        let twice = read(vec![desktop("ops"), desktop("desk"), desktop("ops")]).unwrap_err();
        assert_eq!(twice, "two channels are called \"ops\"");
    }
}
