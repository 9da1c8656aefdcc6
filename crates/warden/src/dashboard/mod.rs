//! Dashboard: the web page. Its files travel inside the binary and hold nothing of anybody's: what the page shows, it
//! asks the API for, which looks at who asks.

use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::ledger::hex_into;

/// What the page may do: load from here, talk to here, be framed by nobody. No inline script, no inline style.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
);

/// A browser asks every time whether its copy is current: a warden that was upgraded must not meet an older page.
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

const START: &str = "index.html";

#[derive(RustEmbed)]
#[folder = "dashboard/"]
struct Files;

/// `GET /`.
pub(crate) fn start<S: Clone + Send + Sync + 'static>() -> MethodRouter<S> {
    get(async |headers: HeaderMap| serve(START, &headers))
}

/// `GET /ui/{*file}`.
pub(crate) fn file<S: Clone + Send + Sync + 'static>() -> MethodRouter<S> {
    get(async |Path(name): Path<String>, headers: HeaderMap| serve(&name, &headers))
}

fn serve(name: &str, asked: &HeaderMap) -> Response {
    let (Some(file), Some(kind)) = (Files::get(name), kind(name)) else {
        return (StatusCode::NOT_FOUND, "there is no such file\n").into_response();
    };
    let tag = tag(&file);
    let known = asked.get(IF_NONE_MATCH).is_some_and(|tags| {
        tags.to_str().is_ok_and(|tags| tags.split(',').any(|one| one.trim() == tag))
    });
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(CACHE_CONTROL, REVALIDATE);
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    if known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, file.data.into_owned()).into_response()
}

fn tag(file: &EmbeddedFile) -> String {
    let mut hex = [0; 32];
    hex_into(&file.metadata.sha256_hash(), &mut hex);
    format!("\"{}\"", String::from_utf8_lossy(&hex))
}

/// The type of a file by its name; what has none is not served.
fn kind(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    })
}

#[cfg(test)]
mod quoting;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    pub(super) fn text(name: &str) -> String {
        let file = Files::get(name).unwrap_or_else(|| panic!("there is no {name}"));
        String::from_utf8(file.data.into_owned()).unwrap()
    }

    /// What stands in quotes behind each `word` of a text.
    fn quoted(text: &str, word: &str) -> Vec<String> {
        let behind = text.split(word).skip(1);
        behind.filter_map(|rest| rest.split('"').next().map(str::to_owned)).collect()
    }

    fn scripts() -> impl Iterator<Item = String> {
        Files::iter().map(|name| name.to_string()).filter(|name| name.ends_with(".js"))
    }

    #[test]
    fn every_file_that_the_page_names_is_there_and_every_file_is_named() {
        let mut named = BTreeSet::from([START.to_owned()]);
        let page = text(START);
        for link in ["href=\"/ui/", "src=\"/ui/"] {
            named.extend(quoted(&page, link));
        }
        for name in scripts().filter(|name| !name.starts_with("vendor/")) {
            let text = text(&name);
            named
                .extend(quoted(&text, "from \"./").into_iter().chain(quoted(&text, "import(\"./")));
        }
        for name in &named {
            assert!(Files::get(name).is_some(), "{name} is missing");
        }
        let unnamed = Files::iter().filter(|name| {
            !named.contains(&**name) && kind(name) != Some("text/plain; charset=utf-8")
        });
        assert_eq!(unnamed.collect::<Vec<_>>(), Vec::<String>::new(), "nothing uses these");
    }

    #[test]
    fn nothing_comes_from_elsewhere_and_nothing_is_inline() {
        let page = text(START);
        assert!(
            !page.contains("<style") && !page.contains(" style=") && !page.contains(" onclick")
        );
        assert_eq!(page.matches("<script").count(), 1);
        assert!(page.contains("<script type=\"module\" src="));
        for name in Files::iter().filter(|name| !name.starts_with("vendor/")) {
            let text = text(&name).replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http://") && !text.contains("https://"), "{name}");
        }
    }

    #[test]
    fn markup_is_never_made_of_text() {
        for name in scripts().filter(|name| !name.starts_with("vendor/")) {
            let text = text(&name);
            for way in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
                "srcdoc",
            ] {
                assert!(!text.contains(way), "{name} has {way}");
            }
        }
    }

    #[test]
    fn a_file_comes_with_its_type_its_policy_and_a_tag_that_saves_sending_it_again() {
        let first = serve("app.js", &HeaderMap::new());
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(first.headers()[CONTENT_TYPE], "text/javascript; charset=utf-8");
        assert!(
            first.headers()[CONTENT_SECURITY_POLICY]
                .to_str()
                .unwrap()
                .contains("default-src 'none'")
        );
        let tag = first.headers()[ETAG].clone();
        let again = HeaderMap::from_iter([(IF_NONE_MATCH, tag)]);
        assert_eq!(serve("app.js", &again).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(serve("index.html", &again).status(), StatusCode::OK);
        for name in ["", "..", "../Cargo.toml", "app.js/", "%2e%2e/Cargo.toml", "/etc/passwd"] {
            assert_eq!(serve(name, &HeaderMap::new()).status(), StatusCode::NOT_FOUND, "{name}");
        }
    }
}
