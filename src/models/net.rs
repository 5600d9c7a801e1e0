//! The HTTP client of this program, for hubs and for remote engines.
//!
//! **Certificates.** The roots are Mozilla's, built into the program (`webpki-roots`), verified by rustls with ring: no
//! system store is needed, and none is read, so that a static program on Android works as it is. A person behind a
//! company's proxy, or with a server of their own, adds roots with `SSL_CERT_FILE` (PEM); they are added to the built-in
//! ones, not put in their place.
//!
//! **Names.** Android has no `/etc/resolv.conf`. A program linked to Android's own C library (a native Termux build)
//! resolves through the system's service and needs none. A static program cannot reach that service: it reads
//! `/etc/hosts`, then asks the servers in Termux's `$PREFIX/etc/resolv.conf`, else 1.1.1.1 and 8.8.8.8. Everywhere else
//! the system's resolver decides, and a name it does not know is not shown to anyone else. See [`super::dns`].
//!
//! **Proxies.** `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` count, but never for a server on this device (see
//! [`client_to`]): a proxy has another idea of `127.0.0.1`. Redirects are never followed here: who
//! asks decides who may get its token (see [`super::hub`]).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::error::Advise;

/// The largest certificate file that is read, in bytes.
const LARGEST_PEM: u64 = 8 << 20;

/// There is no client.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// `SSL_CERT_FILE` cannot be read or holds no certificate.
    #[error("cannot use the certificates in `{}`", path.display())]
    Roots {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The cryptography does not start.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// The client does not start: a broken proxy variable, for example.
    #[error("cannot set up the HTTP client")]
    Client(#[from] reqwest::Error),
}

impl Advise for NetError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Roots { .. } => Some("point `SSL_CERT_FILE` at a PEM file, or unset it".into()),
            Self::Tls(_) => None,
            Self::Client(_) => Some("look at `HTTPS_PROXY`, `HTTP_PROXY` and `ALL_PROXY`".into()),
        }
    }
}

/// A client with the program's roots and name resolution. `silence` is the longest time without a byte while an answer
/// is read; `None` waits for ever (an engine that thinks before it speaks). Redirects are not followed.
///
/// # Errors
/// What [`NetError`] lists.
pub fn client(silence: Option<Duration>) -> Result<reqwest::Client, NetError> {
    client_with(silence, extra_roots().as_deref())
}

/// Like [`client`] for talking to one server: when that is on this device, proxies are left out.
///
/// # Errors
/// What [`NetError`] lists.
pub fn client_to(url: &reqwest::Url, silence: Option<Duration>) -> Result<reqwest::Client, NetError> {
    if !is_here(url) {
        return client(silence);
    }
    Ok(builder(silence, extra_roots().as_deref())?.no_proxy().build()?)
}

/// Whether a server is on this device.
fn is_here(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let named = host == "localhost" || host.ends_with(".localhost");
    named || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn extra_roots() -> Option<PathBuf> {
    std::env::var_os("SSL_CERT_FILE").map(PathBuf::from).filter(|path| !path.as_os_str().is_empty())
}

/// Like [`client`], with the file of additional roots named by the caller instead of the environment.
///
/// # Errors
/// What [`NetError`] lists.
pub fn client_with(silence: Option<Duration>, extra_roots: Option<&Path>) -> Result<reqwest::Client, NetError> {
    Ok(builder(silence, extra_roots)?.build()?)
}

fn builder(silence: Option<Duration>, extra_roots: Option<&Path>) -> Result<reqwest::ClientBuilder, NetError> {
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls(extra_roots)?)
        .dns_resolver(super::dns::shared())
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(20))
        .user_agent(concat!("zord/", env!("CARGO_PKG_VERSION")));
    if let Some(silence) = silence {
        builder = builder.read_timeout(silence);
    }
    Ok(builder)
}

/// TLS by rustls and ring with the built-in roots and those in the file. No process-wide provider is installed.
fn tls(extra_roots: Option<&Path>) -> Result<ClientConfig, NetError> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(path) = extra_roots {
        let fail = |source| NetError::Roots { path: path.to_owned(), source };
        let (good, _) = roots.add_parsable_certificates(read_pem(path).map_err(fail)?);
        if good == 0 {
            return Err(fail(io::Error::new(io::ErrorKind::InvalidData, "it holds no certificate")));
        }
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // reqwest leaves a ready-made configuration alone, so the protocols are offered here.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn read_pem(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let bytes = crate::small::read(path, LARGEST_PEM)?;
    // One unreadable block among many is no reason to refuse the rest: bundles carry comments and oddities.
    Ok(CertificateDer::pem_slice_iter(&bytes).filter_map(Result::ok).collect())
}

/// Whether a request failed on the certificate: trying again would not help.
pub(super) fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<rustls::Error>())
}

/// Whether a request failed because nobody knows the host.
pub(super) fn is_lookup(error: &(dyn std::error::Error + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<super::dns::LookupError>())
}

/// An error and what lies under it, looking into `io::Error` too, which hides what it wraps.
fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| error.source())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    /// Serves TLS for `localhost` until the connections end; gives the port and the certificate as PEM.
    fn serve(connections: usize) -> (u16, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for _ in 0..connections {
                let (socket, _) = listener.accept().unwrap();
                let mut stream =
                    rustls::StreamOwned::new(rustls::ServerConnection::new(config.clone()).unwrap(), socket);
                let mut request = [0; 2048];
                if stream.read(&mut request).is_ok() {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
                }
            }
        });
        (port, made.cert.pem())
    }

    #[test]
    fn a_certificate_from_the_file_is_trusted_and_an_unknown_one_is_not() {
        let (port, pem) = serve(2);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("roots.pem");
        std::fs::write(&file, pem).unwrap();
        let url = format!("https://localhost:{port}/");
        run(async {
            let trusting = client_with(None, Some(&file)).unwrap();
            assert_eq!(trusting.get(&url).send().await.unwrap().text().await.unwrap(), "ok");
            let strict = client_with(None, None).unwrap();
            let error = strict.get(&url).send().await.unwrap_err();
            assert!(is_tls(&error), "{error:?}");
        });
    }

    #[test]
    fn a_certificate_file_without_certificates_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("roots.pem");
        std::fs::write(&file, "nothing here").unwrap();
        assert!(matches!(client_with(None, Some(&file)), Err(NetError::Roots { .. })));
        assert!(matches!(client_with(None, Some(&folder.path().join("none"))), Err(NetError::Roots { .. })));
    }

    #[test]
    fn servers_on_this_device_are_told_from_others() {
        let here = |url: &str| is_here(&reqwest::Url::parse(url).unwrap());
        for url in
            ["http://127.0.0.1:8080", "http://127.9.9.9/v1", "http://[::1]:1", "http://LocalHost", "http://a.localhost"]
        {
            assert!(here(url), "{url}");
        }
        for url in ["http://10.0.0.1", "http://localhost.example", "http://127.0.0.1.example", "https://hub.example"] {
            assert!(!here(url), "{url}");
        }
    }

    #[test]
    fn a_host_nobody_knows_is_told_from_other_failures() {
        run(async {
            let error = client_with(None, None).unwrap().get("http://nobody.invalid/").send().await.unwrap_err();
            assert!(is_lookup(&error) && !is_tls(&error), "{error:?}");
        });
    }
}
