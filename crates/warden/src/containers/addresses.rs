//! From which addresses prisoners in containers come: those of the networks that a jail's container is on. Whoever is on
//! one may take another's address there, so all of the network counts; but not its gateway, by which the engine's host comes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::engine::{Attachment, Listed, Net};

/// How many containers one may stand behind another whose network it has.
const MOST_SHARED: usize = 8;

/// Drivers of networks on which other machines are as well: there an address is told from its neighbours'.
const SHARED_DRIVERS: &[&str] = &["macvlan", "ipvlan"];

/// Whose a container is, for its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Prisoners are in it: its networks are theirs.
    Jails,
    /// It is a ghost, which can take no other address than its own.
    Ghost,
    /// Neither.
    Others,
}

/// The addresses that prisoners may have.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    single: BTreeSet<IpAddr>,
    nets: Vec<Net>,
    gateways: BTreeSet<IpAddr>,
    /// The containers that they are in.
    containers: BTreeSet<String>,
}

impl Addresses {
    /// Those of `listed`, whose they are being told in their order. A network of whose driver nothing is known has
    /// containers alone on it.
    pub(crate) fn of(
        listed: &[Listed],
        whose: &[Whose],
        drivers: &BTreeMap<String, String>,
    ) -> Self {
        let mut found = Self::default();
        for (one, &whose) in listed.iter().zip(whose) {
            if whose == Whose::Others {
                continue;
            }
            found.containers.insert(one.id.clone());
            for attachment in attachments(one, listed) {
                let driver = drivers.get(&attachment.network).map_or("", String::as_str);
                found.single.extend(attachment.nets.iter().map(|net| net.address()));
                if whose == Whose::Jails && !SHARED_DRIVERS.contains(&driver) {
                    found.nets.extend(&attachment.nets);
                }
                found.gateways.extend(&attachment.gateways);
            }
        }
        found
    }

    /// Whether there is any container that prisoners are in.
    pub(crate) fn has_containers(&self) -> bool {
        !self.containers.is_empty()
    }

    /// Whether prisoners are in the container of this id.
    pub(crate) fn has_container(&self, id: &str) -> bool {
        self.containers.contains(id)
    }

    /// Whether who comes from there may be a prisoner.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if self.single.contains(&address) {
            return true;
        }
        if self.gateways.contains(&address) {
            return false;
        }
        let is_of =
            |net: &Net| net.has(address) || is_link_local(address) && net.address().is_ipv6();
        self.nets.iter().any(is_of)
    }
}

/// One that says nothing of the network that it is on.
fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Where a container is, by its own networks and those of the container whose network it has.
fn attachments<'l>(one: &'l Listed, listed: &'l [Listed]) -> Vec<&'l Attachment> {
    let mut found: Vec<&Attachment> = Vec::new();
    let mut next = Some(one);
    for _ in 0..MOST_SHARED {
        let Some(one) = next else { break };
        found.extend(&one.attachments);
        let other = one.network.strip_prefix("container:").filter(|other| !other.is_empty());
        next = other.and_then(|other| {
            listed.iter().find(|one| one.id.starts_with(other) || one.name == other)
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Running;

    fn listed(id: &str, mode: &str, attachments: Vec<Attachment>) -> Listed {
        Listed {
            id: id.to_owned(),
            name: format!("name-{id}"),
            image: String::new(),
            labels: BTreeMap::new(),
            mounts: Vec::new(),
            running: Running::Yes,
            attachments,
            network: mode.to_owned(),
        }
    }

    fn container(id: &str, network: &str, address: &str) -> Listed {
        let net = |address: &str, prefix| Net::new(address.parse().unwrap(), Some(prefix));
        let mut nets = vec![net(address, 24)];
        nets.extend((network == "six").then(|| net("fd00:7::9", 64)));
        let gateway = format!("{}.1", address.rsplit_once('.').unwrap().0);
        let gateways = vec![gateway.parse().unwrap()];
        listed(id, network, vec![Attachment { network: network.to_owned(), nets, gateways }])
    }

    fn beside(id: &str, other: &str) -> Listed {
        listed(id, &format!("container:{other}"), Vec::new())
    }

    fn has(found: &Addresses, address: &str) -> bool {
        found.has(address.parse().unwrap())
    }

    fn of(listed: &[Listed], whose: impl Fn(&str) -> Whose) -> Addresses {
        let drivers = BTreeMap::from([("lan".to_owned(), "macvlan".to_owned())]);
        let whose: Vec<Whose> = listed.iter().map(|one| whose(&one.id)).collect();
        Addresses::of(listed, &whose, &drivers)
    }

    #[test]
    fn all_of_a_network_that_a_jails_container_is_on_counts_but_its_gateway_and_no_other_network() {
        let listed = [container("jail", "a", "10.1.0.2"), container("db", "b", "10.2.0.2")];
        let found = of(&listed, |id| if id == "jail" { Whose::Jails } else { Whose::Others });
        for address in ["10.1.0.2", "10.1.0.3", "::ffff:10.1.0.3"] {
            assert!(has(&found, address), "{address}");
        }
        for address in ["10.1.0.1", "10.2.0.2", "10.1.1.2", "192.0.2.1", "fe80::1"] {
            assert!(!has(&found, address), "{address}");
        }
    }

    #[test]
    fn a_ghost_and_who_is_on_a_network_with_other_machines_are_their_address_alone() {
        for (network, whose) in [("a", Whose::Ghost), ("lan", Whose::Jails)] {
            let found = of(&[container("x", network, "10.1.0.2")], |_| whose);
            assert!(has(&found, "10.1.0.2"), "{network}");
            assert!(!has(&found, "10.1.0.3"), "{network}");
        }
    }

    #[test]
    fn who_has_another_containers_network_comes_from_there() {
        let listed =
            [beside("jail", "side"), beside("side", "name-net"), container("net", "a", "10.1.0.2")];
        let found = of(&listed, |id| if id == "jail" { Whose::Jails } else { Whose::Others });
        assert!(has(&found, "10.1.0.2"));
        let round = of(&[beside("jail", "jail")], |_| Whose::Jails);
        assert!(round.has_container("jail") && !has(&round, "10.1.0.2"));
    }

    #[test]
    fn with_ipv6_an_address_of_the_link_may_be_anybodys_there() {
        let found = of(&[container("x", "six", "10.1.0.2")], |_| Whose::Jails);
        for address in ["fd00:7::9", "fd00:7::1234", "fe80::42"] {
            assert!(has(&found, address), "{address}");
        }
        assert!(!has(&found, "fd00:8::9"));
    }
}
