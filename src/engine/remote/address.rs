//! Where a server is: the address a person gave, with the version it lacks and without what it has too much. Pure.

use std::fmt;

use reqwest::Url;

use super::RemoteError;

/// The last parts of addresses that people copy from a manual.
const DOORS: [&str; 4] = ["/chat/completions", "/completions", "/models", "/infill"];

/// The address that `/chat/completions` is put behind. Shown without a password or key that stands in it.
#[derive(Clone, Debug)]
pub(super) struct Address(Url);

impl Address {
    /// From what a person wrote, with or without a version. An address that carries one keeps its path, and so does one
    /// that names the door itself.
    ///
    /// # Errors
    /// It is no address of a server.
    pub(super) fn new(text: &str) -> Result<Self, RemoteError> {
        let bad = || RemoteError::Url { url: text.to_owned() };
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let mut url = url.ok_or_else(bad)?;
        url.set_fragment(None);
        let path = url.path().trim_end_matches('/').to_owned();
        let stripped = DOORS.iter().find_map(|door| path.strip_suffix(door));
        let names_its_door = stripped.is_some() && !path.ends_with("/models") && !path.ends_with("/infill");
        let path = stripped.unwrap_or(&path).trim_end_matches('/');
        let path =
            if names_its_door || path.split('/').any(is_version) { path.to_owned() } else { format!("{path}/v1") };
        url.set_path(&path);
        Ok(Self(url))
    }

    /// One of the server's doors, `models` for example.
    pub(super) fn door(&self, name: &str) -> Url {
        self.with_path(&format!("{}/{name}", self.0.path().trim_end_matches('/')))
    }

    /// A door beside the version, as llama-server's own ones are.
    pub(super) fn beside(&self, name: &str) -> Url {
        let path = self.0.path().trim_end_matches('/');
        let root = path.rsplit_once('/').filter(|(_, last)| is_version(last)).map_or(path, |(root, _)| root);
        self.with_path(&format!("{root}/{name}"))
    }

    /// The address itself.
    pub(super) fn url(&self) -> &Url {
        &self.0
    }

    /// Host and port, as a person names a server.
    pub(super) fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    fn with_path(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(path);
        url
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", shown(&self.0))
    }
}

/// An address without what is nobody's business: a password, a key in the query.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Fails only for addresses that have no place for a name, and those are refused before.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.set_query(None);
    url.set_fragment(None);
    url.as_str().trim_end_matches('/').to_owned()
}

/// `v1`, `v4`, `v1beta`, `v1beta2`.
fn is_version(segment: &str) -> bool {
    let Some(rest) = segment.strip_prefix('v') else { return false };
    let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    digits.len() < rest.len() && digits.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// Where a redirect leads, if the key may go there: the same host by the same or a safer way.
pub(super) fn followed(from: &Url, location: &str) -> Result<Url, Option<Url>> {
    let Ok(to) = from.join(location) else { return Err(None) };
    let same_port = to.port_or_known_default() == from.port_or_known_default();
    let safer = from.scheme() == "http" && to.scheme() == "https";
    let same = to.host_str() == from.host_str() && ((to.scheme() == from.scheme() && same_port) || safer);
    if same { Ok(to) } else { Err(Some(to)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_with_and_without_its_version() {
        let table = [
            ("http://host:1/", "http://host:1/v1"),
            ("http://host:1", "http://host:1/v1"),
            ("http://host:1/v1", "http://host:1/v1"),
            ("http://host:1/v1/", "http://host:1/v1"),
            ("http://host:1/v1/models", "http://host:1/v1"),
            ("https://host/api", "https://host/api/v1"),
            ("https://host/api/v1/chat/completions", "https://host/api/v1"),
            ("https://host/chat/completions", "https://host"),
            ("https://host/api/paas/v4", "https://host/api/paas/v4"),
            ("https://host/api/coding/v3/", "https://host/api/coding/v3"),
            ("https://host/v1beta/openai/", "https://host/v1beta/openai"),
            ("https://host/v1beta2/openai/chat/completions", "https://host/v1beta2/openai"),
            ("https://me:secret@host/v1?key=secret#x", "https://host/v1"),
            ("https://host/video", "https://host/video/v1"),
        ];
        for (given, expected) in table {
            assert_eq!(Address::new(given).unwrap().to_string(), expected, "{given}");
        }
        for bad in ["", "host:1", "ftp://host", "http://"] {
            assert!(Address::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn doors_stand_behind_the_path_and_before_the_query() {
        let address = Address::new("https://host:2/api/v4/?version=7").unwrap();
        assert_eq!(address.door("models").as_str(), "https://host:2/api/v4/models?version=7");
        assert_eq!(address.beside("infill").as_str(), "https://host:2/api/infill?version=7");
        assert_eq!(
            Address::new("https://host/chat/completions").unwrap().door("models").as_str(),
            "https://host/models"
        );
        assert_eq!(address.host(), "host:2");
    }

    #[test]
    fn a_redirect_is_followed_on_the_same_host_only() {
        let from = Url::parse("http://host:1/v1/models").unwrap();
        let table = [
            ("/v1/models/", Some("http://host:1/v1/models/")),
            ("http://host:1/api/v1/models", Some("http://host:1/api/v1/models")),
            ("https://host/v1/models", Some("https://host/v1/models")),
            ("http://host:2/v1/models", None),
            ("http://other:1/v1/models", None),
            ("//other/v1", None),
        ];
        for (location, expected) in table {
            assert_eq!(followed(&from, location).ok().as_ref().map(Url::as_str), expected, "{location}");
        }
        assert!(followed(&Url::parse("https://host/v1").unwrap(), "http://host/v1").is_err());
    }
}
