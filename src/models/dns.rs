//! Turns host names into addresses, on Android too; [`super::net`] says how. It keeps no state between programs.

use std::fs;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Asked when no configured server is known: two operators, so that one outage is not ours.
const PUBLIC: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1)), IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8))];

/// A name could not be resolved.
#[derive(Debug, thiserror::Error)]
#[error("cannot find the host `{host}`")]
pub struct LookupError {
    /// The name.
    pub host: String,
    /// Why.
    pub source: io::Error,
}

/// Where names are looked up.
#[derive(Clone, Debug)]
pub struct Resolver {
    system: bool,
    hosts: Vec<PathBuf>,
    servers: Option<Vec<SocketAddr>>,
}

impl Resolver {
    /// What fits this machine: the system's resolver where it has its configuration (or is Android's own), and the
    /// servers of Termux's `$PREFIX/etc/resolv.conf` or public ones where it has not.
    pub fn for_this_machine() -> Self {
        let prefix = std::env::var_os("PREFIX").map(PathBuf::from).filter(|prefix| prefix.is_absolute());
        Self::new(Path::new("/"), prefix.as_deref(), cfg!(target_os = "android"))
    }

    fn new(root: &Path, prefix: Option<&Path>, bionic: bool) -> Self {
        let configured = root.join("etc/resolv.conf").exists();
        let termux = prefix.and_then(|prefix| bounded(&prefix.join("etc/resolv.conf"))).map(|text| servers(&text));
        let own = termux.filter(|servers| !servers.is_empty());
        let system = configured || bionic;
        // Where the system can resolve and failed, strangers are not asked behind its back: the name may be private.
        let servers = own.or_else(|| (!system).then(|| PUBLIC.map(|ip| SocketAddr::new(ip, 53)).to_vec()));
        let folders = prefix.into_iter().chain([root]);
        Self { system, hosts: folders.map(|folder| folder.join("etc/hosts")).collect(), servers }
    }

    /// All addresses of a host; ports are 0.
    ///
    /// # Errors
    /// [`LookupError`] when nobody knows the name.
    pub async fn addresses(&self, host: &str) -> Result<Vec<SocketAddr>, LookupError> {
        let fail = |source| LookupError { host: crate::text::clean::printable(host), source };
        let mut failed = None;
        if self.system {
            match tokio::net::lookup_host((host, 0)).await {
                Ok(found) => {
                    let found: Vec<SocketAddr> = found.collect();
                    if !found.is_empty() {
                        return Ok(found);
                    }
                }
                Err(error) => failed = Some(error),
            }
        } else if let Some(found) = self.local(host) {
            return Ok(found);
        }
        let Some(servers) = &self.servers else {
            return Err(fail(failed.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it has no address"))));
        };
        ask(servers, host).await.map_err(fail)
    }

    /// What needs no server: this machine itself, and the hosts files.
    fn local(&self, host: &str) -> Option<Vec<SocketAddr>> {
        let host = host.trim_end_matches('.');
        if host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost") {
            return Some(vec![(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()]);
        }
        let known = self.hosts.iter().filter_map(|file| bounded(file)).flat_map(|text| in_hosts(&text, host));
        let found: Vec<SocketAddr> = known.map(|ip| SocketAddr::new(ip, 0)).collect();
        (!found.is_empty()).then_some(found)
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let found = this.addresses(name.as_str()).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

async fn ask(servers: &[SocketAddr], host: &str) -> io::Result<Vec<SocketAddr>> {
    let configs = servers.iter().map(|server| {
        let mut config = NameServerConfig::udp_and_tcp(server.ip());
        config.connections.iter_mut().for_each(|connection| connection.port = server.port());
        config
    });
    let config = ResolverConfig::from_parts(None, Vec::new(), configs.collect());
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.timeout = Duration::from_secs(4);
    let resolver = builder.build().map_err(io::Error::other)?;
    // The final dot keeps search domains out: a host in a URL is already whole.
    let found = resolver.lookup_ip(format!("{}.", host.trim_end_matches('.'))).await.map_err(io::Error::other)?;
    let addresses: Vec<SocketAddr> = found.iter().map(|ip| SocketAddr::new(ip, 0)).collect();
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "it has no address"));
    }
    Ok(addresses)
}

/// A small text file, or nothing.
fn bounded(file: &Path) -> Option<String> {
    let mut text = Vec::new();
    fs::File::open(file).ok()?.take(64 << 10).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// The first three `nameserver` lines, as resolv.conf(5) has it.
fn servers(text: &str) -> Vec<SocketAddr> {
    let words = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let ips = words.filter_map(|rest| rest.split_whitespace().next()?.split('%').next()?.parse::<IpAddr>().ok());
    ips.take(3).map(|ip| SocketAddr::new(ip, 53)).collect()
}

fn in_hosts(text: &str, host: &str) -> Vec<IpAddr> {
    let entry = |line: &str| -> Option<IpAddr> {
        let mut words = line.split('#').next()?.split_whitespace();
        let ip = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(host)).then_some(ip)
    };
    text.lines().filter_map(entry).collect()
}

/// Hands the resolver to a client.
pub(super) fn shared() -> Arc<Resolver> {
    Arc::new(Resolver::for_this_machine())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UdpSocket;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    /// Answers one A question after another with `10.1.2.3`, and everything else with nothing.
    async fn serve(socket: UdpSocket) {
        let mut packet = [0; 512];
        loop {
            let (len, peer) = socket.recv_from(&mut packet).await.unwrap();
            let mut at = 12;
            while packet[at] != 0 {
                at += usize::from(packet[at]) + 1;
            }
            let wants_v4 = packet[at + 2] == 1;
            let question = packet[12..at + 5].to_vec();
            let mut answer = packet[..2].to_vec();
            answer.extend([0x81, 0x80, 0, 1, 0, u8::from(wants_v4), 0, 0, 0, 0]);
            answer.extend(question);
            if wants_v4 {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 1, 2, 3]);
            }
            assert!(len >= at + 5);
            socket.send_to(&answer, peer).await.unwrap();
        }
    }

    #[test]
    fn without_a_system_configuration_a_server_is_asked_directly() {
        run(async {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let server = socket.local_addr().unwrap();
            tokio::spawn(serve(socket));
            let resolver = Resolver { system: false, hosts: Vec::new(), servers: Some(vec![server]) };
            let found = resolver.addresses("hub.example").await.unwrap();
            assert_eq!(found, [SocketAddr::from(([10, 1, 2, 3], 0))]);
        });
    }

    #[test]
    fn this_machine_and_the_hosts_file_need_no_server() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("etc")).unwrap();
        fs::write(folder.path().join("etc/hosts"), "# c\n10.0.0.7 box box.lan # mine\nbad line\n").unwrap();
        let resolver = Resolver::new(folder.path(), None, false);
        assert!(!resolver.system);
        assert_eq!(run(resolver.addresses("BOX.lan")).unwrap(), [SocketAddr::from(([10, 0, 0, 7], 0))]);
        assert!(run(resolver.addresses("localhost")).unwrap().iter().all(|address| address.ip().is_loopback()));
    }

    #[test]
    fn termux_servers_come_before_public_ones_and_a_configured_system_asks_no_strangers() {
        let folder = tempfile::tempdir().unwrap();
        let (root, prefix) = (folder.path().join("root"), folder.path().join("usr"));
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::create_dir_all(prefix.join("etc")).unwrap();
        assert_eq!(Resolver::new(&root, None, false).servers.unwrap().len(), 2);
        fs::write(
            prefix.join("etc/resolv.conf"),
            "# x\nnameserver 9.9.9.9\nnameserver fe80::1%wlan0\noptions rotate\n",
        )
        .unwrap();
        let termux = Resolver::new(&root, Some(&prefix), false).servers.unwrap();
        assert_eq!(termux[0], SocketAddr::from(([9, 9, 9, 9], 53)));
        assert_eq!(termux.len(), 2);
        fs::write(root.join("etc/resolv.conf"), "nameserver 10.0.0.1\n").unwrap();
        let desktop = Resolver::new(&root, None, false);
        assert!(desktop.system && desktop.servers.is_none());
        assert!(Resolver::new(Path::new("/nowhere"), None, true).servers.is_none());
    }

    #[test]
    fn the_system_s_resolver_knows_this_machine() {
        let resolver = Resolver { system: true, hosts: Vec::new(), servers: None };
        assert!(run(resolver.addresses("localhost")).unwrap().iter().all(|address| address.ip().is_loopback()));
    }
}
