//! The `zord` program's command line: one file a command, each from parsed arguments to text on stdout.
//!
//! Data goes to stdout; progress, notices and errors to stderr. What it refuses to do: think. The rooms do that.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::budget::KvType;
use crate::config::{self, Config};
use crate::error::{ExitCode, UserError};
use crate::paths::Paths;
use crate::size::ByteSize;

mod bench;
mod chat;
mod complete;
mod doctor;
#[cfg(feature = "engine")]
mod engine;
pub(crate) mod extras;
#[cfg(feature = "engine")]
mod kernels;
mod models;
pub(crate) mod output;
pub(crate) mod plan;
pub mod prepare;
pub(crate) mod progress;
mod sessions;
#[cfg(feature = "lab")]
pub(crate) mod source;
mod stream;
mod timezone;
mod tui;

/// A coding assistant in the terminal, with the model on this device.
#[derive(Debug, Parser)]
#[command(name = "zord", version, max_term_width = 100, args_conflicts_with_subcommands = false)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Folder or file to open; `PATH:LINE` goes to a line
    #[arg(value_name = "PATH[:LINE]")]
    path: Option<PathBuf>,
    /// Resume the last conversation of this folder
    #[arg(long = "continue", short = 'c')]
    go_on: bool,
    #[command(flatten)]
    engine: EngineOptions,
}

/// What every command that uses a model takes.
#[derive(Args, Clone, Debug, Default)]
pub struct EngineOptions {
    /// Model: a name from `zord models list`, a GGUF file, or hf:owner/repo/file
    #[arg(long, global = true, value_name = "MODEL")]
    pub model: Option<String>,
    /// Tokens of context [default: what fits]
    #[arg(long, global = true, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(64..))]
    pub ctx: Option<u32>,
    /// KV cache type: f16, q8_0 or q4_0 [default: what fits]
    #[arg(long, global = true, value_name = "TYPE", value_parser = kv_type)]
    pub kv_type: Option<KvType>,
    /// Threads [default: the fastest cluster's cores]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=512))]
    pub threads: Option<u32>,
    /// Memory the whole program may take, like 2GiB [default: the smaller of 3.5GiB and 60 % of what is free]
    #[arg(long, global = true, value_name = "SIZE", value_parser = size)]
    pub budget: Option<u64>,
    /// Use an OpenAI-compatible server instead of a model here
    #[arg(long, global = true, value_name = "URL")]
    pub remote: Option<String>,
    /// A LoRA adapter (GGUF), with a scale after `@` if it is not 1
    #[arg(long, global = true, value_name = "FILE[@SCALE]", value_parser = lora)]
    pub lora: Vec<(PathBuf, f32)>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer once, on stdout; what is piped in becomes context
    Chat(chat::ChatArgs),
    /// Continue code at a place in a file
    Complete(complete::CompleteArgs),
    /// The models in the store and the catalogue
    Models(models::ModelsArgs),
    /// What would be used, and why
    Plan(plan::PlanArgs),
    /// The device, the store, and what to change
    Doctor(doctor::DoctorArgs),
    /// Load time, first token, prefill and decode rates, memory
    Bench(bench::BenchArgs),
    /// Past conversations
    Sessions(sessions::SessionsArgs),
    /// Shell completions, on stdout
    #[command(hide = true)]
    Completions(extras::CompletionsArgs),
    /// What this program starts itself as, to check its kernels
    #[cfg(feature = "engine")]
    #[command(hide = true, name = "kernels-child")]
    Kernels(kernels::KernelsArgs),
    /// What this program starts itself as, to have the model in a process of its own
    #[cfg(feature = "engine")]
    #[command(hide = true)]
    Engine,
    /// Manual pages, into a folder
    #[command(hide = true)]
    Man(extras::ManArgs),
}

/// What commands lean on.
pub(crate) struct Scene {
    paths: Paths,
    /// The configuration, and over it the command line.
    config: Config,
    /// The command line alone, for who must know whether something was asked for there.
    flags: EngineOptions,
}

impl EngineOptions {
    /// The settings that count: what the command line says before what the configuration says.
    fn over(&self, mut config: Config) -> Config {
        match (&self.remote, &self.model) {
            (Some(url), model) => {
                config.remote.url = Some(url.clone());
                config.remote.model = model.clone().or(config.remote.model);
            }
            (None, Some(model)) => {
                // a model that is named is one here
                config.remote.url = None;
                config.model = Some(model.clone());
            }
            (None, None) => {}
        }
        config.context.size = self.ctx.or(config.context.size);
        config.context.kv_type = self.kv_type.or(config.context.kv_type);
        config.threads.count = self.threads.or(config.threads.count);
        config.budget.limit = self.budget.map(ByteSize).or(config.budget.limit);
        if self.lora.is_empty() { config } else { config.with_adapters(&self.lora) }
    }
}

/// Parses the arguments of the process and does what they say. Errors are printed here, once.
pub fn main() -> ExitCode {
    crate::crash::arm();
    #[cfg(feature = "engine")]
    kernels::this_is_the_program();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    match run(cli) {
        Ok(code) => code,
        Err(report) => output::error(&report),
    }
}

/// Help and versions are answers; the rest is wrong use, in this program's own form.
pub(crate) fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::Done;
    }
    let text = error.render().to_string();
    let text = text.trim().trim_start_matches("error: ");
    // Quotes come in pairs; where they do not, a value has one in it.
    let text = if text.matches('\'').count().is_multiple_of(2) { text.replace('\'', "`") } else { text.to_owned() };
    let (message, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
    output::error(&UserError::usage(message.trim()).hint(advice(rest)))
}

/// Parses the arguments of a lab program and does what they say. Errors are printed here, once.
#[cfg(feature = "lab")]
pub(crate) fn carry_out<C: Parser>(run: impl FnOnce(C) -> Result<ExitCode, UserError>) -> ExitCode {
    crate::crash::no_debugger();
    let cli = match C::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    output::start_log();
    run(cli).unwrap_or_else(|report| output::error(&report))
}

/// The parser's advice, a line each, in this program's words.
fn advice(text: &str) -> String {
    let text = text.replace("For more information, try `--help`.", "`--help` says more");
    let lines = text.lines().map(|line| line.trim().trim_start_matches("tip: ")).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n      ")
}

fn run(cli: Cli) -> Result<ExitCode, UserError> {
    output::start_log();
    if cli.go_on && cli.command.is_some() {
        return Err(UserError::usage("`--continue` resumes a conversation in the interface; commands have none")
            .hint("`zord --continue` alone resumes the last one of this folder"));
    }
    #[cfg(feature = "engine")]
    if matches!(cli.command, Some(Command::Engine)) {
        // all that is to be known comes over the socket
        return engine::run();
    }
    let paths = Paths::find();
    let config = config::load(&paths.config_file())?;
    let scene = Scene { paths, config: cli.engine.over(config), flags: cli.engine };
    match cli.command {
        None => tui::run(scene, cli.path, cli.go_on),
        Some(Command::Chat(args)) => chat::run(&scene, args),
        Some(Command::Complete(args)) => complete::run(&scene, args),
        Some(Command::Models(args)) => models::run(&scene, args),
        Some(Command::Plan(args)) => plan::run(&scene, &args),
        Some(Command::Doctor(args)) => doctor::run(&scene, &args),
        Some(Command::Bench(args)) => bench::run(&scene, &args),
        Some(Command::Sessions(args)) => sessions::run(&scene, args),
        #[cfg(feature = "engine")]
        Some(Command::Kernels(args)) => kernels::run(&args),
        #[cfg(feature = "engine")]
        Some(Command::Engine) => engine::run(),
        Some(Command::Completions(args)) => extras::completions::<Cli>(&args),
        Some(Command::Man(args)) => extras::man::<Cli>(&args),
    }
}

fn kv_type(text: &str) -> Result<KvType, String> {
    let all = [KvType::F16, KvType::Q8_0, KvType::Q4_0];
    all.into_iter().find(|kv| kv.name() == text).ok_or_else(|| "`f16`, `q8_0` or `q4_0`".into())
}

pub(crate) fn size(text: &str) -> Result<u64, String> {
    crate::size::parse_size(text).map_err(|error| error.to_string())
}

fn lora(text: &str) -> Result<(PathBuf, f32), String> {
    match text.rsplit_once('@') {
        Some((file, scale)) if !file.is_empty() => {
            let scale: f32 = scale.parse().map_err(|_| format!("`{scale}` is no scale"))?;
            if scale.is_finite() { Ok((file.into(), scale)) } else { Err(format!("`{scale}` is no scale")) }
        }
        _ => Ok((text.into(), 1.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RemoteConfig;

    #[test]
    fn the_command_line_goes_before_the_configuration() {
        let said = Config {
            model: Some("own".into()),
            remote: RemoteConfig {
                url: Some("http://own".into()),
                model: Some("there".into()),
                ..RemoteConfig::default()
            },
            ..Config::default()
        };
        let over = |flags: EngineOptions| {
            let config = flags.over(said.clone());
            [config.model, config.remote.url, config.remote.model].map(Option::unwrap_or_default)
        };
        let model = Some("m".to_owned());
        let remote = Some("http://r".to_owned());
        assert_eq!(over(EngineOptions::default()), ["own", "http://own", "there"]);
        assert_eq!(over(EngineOptions { model: model.clone(), ..EngineOptions::default() }), ["m", "", "there"]);
        assert_eq!(
            over(EngineOptions { remote: remote.clone(), ..EngineOptions::default() }),
            ["own", "http://r", "there"]
        );
        assert_eq!(over(EngineOptions { model, remote, ..EngineOptions::default() }), ["own", "http://r", "m"]);
        let flags = EngineOptions {
            ctx: Some(4096),
            kv_type: Some(KvType::Q4_0),
            threads: Some(3),
            budget: Some(1 << 30),
            lora: vec![("a.gguf".into(), 0.5)],
            ..EngineOptions::default()
        };
        let config = flags.over(said.clone());
        assert_eq!((config.context.size, config.context.kv_type), (Some(4096), Some(KvType::Q4_0)));
        assert_eq!((config.threads.count, config.budget.limit), (Some(3), Some(ByteSize(1 << 30))));
        assert_eq!(config.adapters(), [(PathBuf::from("a.gguf"), 0.5)]);
        assert_eq!(EngineOptions::default().over(config.clone()), config, "nothing said changes nothing");
    }
}
