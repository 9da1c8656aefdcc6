//! Networks: where containers are on them, and what they are made of.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bollard::models::EndpointSettings;
use bollard::query_parameters::ListNetworksOptions;

use super::Engine;
use super::connection::Call;
use super::error::{EngineError, Kind};

/// An address, and how much of it all addresses of its network have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Net {
    address: IpAddr,
    prefix: u8,
}

/// Where a container is on one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The network's id; empty where the engine does not tell it.
    pub network: String,
    /// Its own addresses, with what they have in common with the others of the network.
    pub nets: Vec<Net>,
    /// The network's gateways: the engine's host, where that is on it.
    pub gateways: Vec<IpAddr>,
}

impl Net {
    /// A prefix that no address can have, or none at all, is that of the one address.
    pub(crate) fn new(address: IpAddr, prefix: Option<i64>) -> Self {
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.and_then(|prefix| u8::try_from(prefix).ok());
        let prefix = prefix.filter(|prefix| (1..=most).contains(prefix)).unwrap_or(most);
        Self { address, prefix }
    }

    /// The container's own address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// Whether an address is of the same network.
    #[must_use]
    pub fn has(self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                (Ipv4Addr::to_bits(own) ^ Ipv4Addr::to_bits(other)) & mask == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                (Ipv6Addr::to_bits(own) ^ Ipv6Addr::to_bits(other)) & mask == 0
            }
            _ => false,
        }
    }
}

impl Engine {
    /// The driver of each of its networks, such as `bridge` or `macvlan`, by the network's id.
    ///
    /// # Errors
    /// [`EngineError`] as for every call.
    pub async fn drivers_of_networks(&self) -> Result<BTreeMap<String, String>, EngineError> {
        let call = Call::question("list networks", Kind::Engine, "");
        let nothing = None::<ListNetworksOptions>;
        let found = self.call(call, async |docker| docker.list_networks(nothing).await).await?;
        Ok(found.into_iter().filter_map(|network| network.id.zip(network.driver)).collect())
    }
}

/// Where an endpoint is, if it has an address.
pub(super) fn attachment(found: EndpointSettings) -> Option<Attachment> {
    let address = |text: Option<String>| text?.parse::<IpAddr>().ok();
    let v4 = address(found.ip_address).map(|own| Net::new(own, found.ip_prefix_len));
    let v6 = address(found.global_ipv6_address);
    let v6 = v6.map(|own| Net::new(own, found.global_ipv6_prefix_len));
    let nets: Vec<Net> = v4.into_iter().chain(v6).collect();
    let gateways = [found.gateway, found.ipv6_gateway].into_iter().filter_map(address).collect();
    let network = found.network_id.unwrap_or_default();
    (!nets.is_empty()).then_some(Attachment { network, nets, gateways })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(address: &str, prefix: Option<i64>) -> Net {
        Net::new(address.parse().unwrap(), prefix)
    }

    #[test]
    fn a_network_has_what_begins_as_it_does() {
        for (own, prefix, other, is_of_it) in [
            ("10.213.0.2", 24, "10.213.0.77", true),
            ("10.213.0.2", 24, "10.213.1.2", false),
            ("10.213.0.2", 31, "10.213.0.3", true),
            ("10.213.0.2", 32, "10.213.0.3", false),
            ("fd00:1::2", 64, "fd00:1::ffff", true),
            ("fd00:1::2", 64, "fd00:2::2", false),
            ("10.213.0.2", 24, "fd00:1::2", false),
        ] {
            let net = net(own, Some(prefix));
            assert_eq!(net.has(other.parse().unwrap()), is_of_it, "{own}/{prefix} {other}");
        }
    }

    #[test]
    fn without_a_length_that_can_be_it_is_the_one_address() {
        for odd in [None, Some(0), Some(-1), Some(33), Some(4096)] {
            let net = net("10.213.0.2", odd);
            assert!(net.has("10.213.0.2".parse().unwrap()), "{odd:?}");
            assert!(!net.has("10.213.0.3".parse().unwrap()), "{odd:?}");
        }
    }

    #[test]
    fn an_endpoint_without_an_address_is_on_no_network() {
        let empty = EndpointSettings {
            ip_address: Some(String::new()),
            gateway: Some(String::new()),
            ..EndpointSettings::default()
        };
        assert_eq!(attachment(empty.clone()), None);
        let there = EndpointSettings {
            ip_address: Some("10.213.0.2".to_owned()),
            ip_prefix_len: Some(24),
            gateway: Some("10.213.0.1".to_owned()),
            network_id: Some("ab".to_owned()),
            ..empty
        };
        let there = attachment(there).unwrap();
        assert_eq!((&there.network[..], there.nets.len()), ("ab", 1));
        assert_eq!(there.gateways, ["10.213.0.1".parse::<IpAddr>().unwrap()]);
    }
}
