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
