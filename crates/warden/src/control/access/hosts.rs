//! By which names the API may be called. A page of elsewhere whose name was pointed at this address (DNS rebinding)
//! calls it by that name, and is refused.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::{HeaderMap, Uri, Version, header};

/// Names that are not numbers, in small letters.
#[derive(Debug, Clone)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    pub(super) fn new(named: &[String]) -> Self {
        let mut all = vec!["localhost".to_owned()];
        all.extend(named.iter().map(|name| name.to_ascii_lowercase()));
        Self(all)
    }

    /// The host that a request calls, with its port, where it calls one that is served here.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn called(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        version: Version,
    ) -> Result<String, String> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (first, second) = (hosts.next(), hosts.next());
        if second.is_some() {
            return Err("the request names more than one host".to_owned());
        }
        let given = first.and_then(|value| value.to_str().ok());
        let Some(host) = given.filter(|host| !host.is_empty()) else {
            return Err(format!("a request of {version:?} must name a host here"));
        };
        // What a request for a proxy names goes before the header; they must not differ.
        if let Some(authority) = uri.authority()
            && !authority.as_str().eq_ignore_ascii_case(host)
        {
            return Err("the request names two hosts".to_owned());
        }
        let Some(name) = name_of(host) else {
            return Err(format!("{:?} is no host", shortened(host)));
        };
        let is_number = name.parse::<IpAddr>().is_ok() || is_v6(name);
        if is_number || self.0.iter().any(|served| served.eq_ignore_ascii_case(name)) {
            return Ok(host.to_ascii_lowercase());
        }
        Err(format!(
            "the host {:?} is not served here; the warden's --api-host names those that are",
            shortened(host)
        ))
    }
}

fn shortened(host: &str) -> String {
    host.chars().take(100).collect()
}

fn is_v6(name: &str) -> bool {
    let inner = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok())
}

/// A host without its port.
fn name_of(host: &str) -> Option<&str> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    let fine = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    (port.is_none_or(fine) && !name.is_empty() && name.bytes().all(plain)).then_some(name)
}

/// Whether a request comes from a page of the host that it calls, or from no page at all.
///
/// # Errors
/// From where it comes instead.
pub(super) fn from_own_page(headers: &HeaderMap, called: &str) -> Result<(), String> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let (Some(origin), second) = (origins.next(), origins.next()) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let own = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    if second.is_none() && own.is_some_and(|host| host.eq_ignore_ascii_case(called)) {
        return Ok(());
    }
    Err(format!("a page of {:?} may not use this API", shortened(origin)))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn called(uri: &str, hosts: &[&str]) -> Result<String, String> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_str(host).unwrap());
        }
        let served = Hosts::new(&["Warden.example".to_owned()]);
        served.called(&uri.parse().unwrap(), &headers, Version::HTTP_11)
    }

    #[test]
    fn numbers_and_served_names_are_called_and_no_others() {
        for host in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:8080",
            "[::1]:8080",
            "[::1]",
            "warden.EXAMPLE:443",
        ] {
            assert!(called("/x", &[host]).is_ok(), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "evil.example:8080",
            "127.0.0.1.nip.io",
            "localhost:",
            "",
            "localhost:80:80",
            "user@localhost",
            "localhost/",
            "localhost.",
            "[::1",
            "a b",
        ] {
            assert!(called("/x", &[host]).is_err(), "{host}");
        }
        assert!(called("/x", &[]).is_err());
        assert!(called("/x", &["localhost", "localhost"]).is_err());
    }

    #[test]
    fn the_host_of_a_request_for_a_proxy_counts_as_well() {
        assert!(called("http://localhost/x", &["localhost"]).is_ok());
        assert!(called("http://evil.example/x", &["localhost"]).is_err());
        assert!(called("http://localhost/x", &["evil.example"]).is_err());
        assert!(called("http://evil.example/x", &["evil.example"]).is_err());
    }

    #[test]
    fn only_pages_of_the_called_host_may_ask() {
        let from = |origins: &[&str]| {
            let mut headers = HeaderMap::new();
            for origin in origins {
                headers.append(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
            }
            from_own_page(&headers, "localhost:8080")
        };
        assert!(from(&[]).is_ok() && from(&["http://localhost:8080"]).is_ok());
        assert!(from(&["https://localhost:8080"]).is_ok());
        for origin in [
            "null",
            "",
            "http://localhost",
            "http://localhost:8081",
            "http://evil.example",
            "file://",
        ] {
            assert!(from(&[origin]).is_err(), "{origin}");
        }
        assert!(from(&["http://localhost:8080", "http://localhost:8080"]).is_err());
    }
}
