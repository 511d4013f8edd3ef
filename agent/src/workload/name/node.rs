//! JavaScript programs.

use super::path::{parent, resolve};
use super::{Command, here, script};

/// Options whose value is the next word.
const WITH_VALUE: &[&str] = &[
    "-C",
    "-r",
    "--conditions",
    "--env-file",
    "--experimental-loader",
    "--import",
    "--loader",
    "--require",
    "--title",
    "--watch-path",
    "-c",
    "--config",
    "--allow-net",
];

/// How many directories upwards `package.json` is looked for.
const MAX_CLIMB: usize = 4;

/// The package that the program belongs to, else the script's name.
pub(super) fn name(command: &Command<'_>, called: &str, words: &[&str]) -> Option<String> {
    if let Some(title) = super::option(words, &["--title"]) {
        return Some(title.to_owned());
    }
    let file =
        if matches!(called, "npm" | "npx" | "yarn" | "pnpm" | "next") { None } else { file(words) };
    let Some(file) = file else {
        return package(command, command.directory?).or_else(|| here(command));
    };
    let place = resolve(command.directory, file);
    // What is installed (`node_modules/.bin/next`) belongs to who installed it.
    if let Some((project, _)) = place.split_once("/node_modules/") {
        let installed_globally = project.ends_with("/lib");
        if !installed_globally {
            return package(command, project).or_else(|| super::directory(project));
        }
        let local = command.directory.and_then(|directory| package(command, directory));
        return local.or_else(|| Some(script(command, file)));
    }
    package(command, parent(&place)).or_else(|| Some(script(command, file)))
}

fn file<'a>(words: &[&'a str]) -> Option<&'a str> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "-e" | "-p" | "--eval" | "--print" | "-pe" => return None,
            // Subcommands of bun, deno, tsx and nodemon.
            "run" | "watch" | "start" | "serve" | "--" => {}
            word if WITH_VALUE.contains(&word) => _ = words.next(),
            word if word.starts_with('-') => {}
            word => return Some(word),
        }
    }
    None
}

/// The package of a directory or of one above it.
fn package(command: &Command<'_>, directory: &str) -> Option<String> {
    let mut directory = directory;
    for _ in 0..MAX_CLIMB {
        if let Some(name) = command.look.package(directory) {
            // `@acme/shop` is called shop.
            let name = name.rsplit('/').next().unwrap_or(&name).to_owned();
            return (!name.is_empty() && !super::path::is_generic(&name)).then_some(name);
        }
        directory = parent(directory);
        if directory.len() <= 1 {
            break;
        }
    }
    None
}
