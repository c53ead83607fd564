//! Completions of bash, zsh and fish: the commands, their flags, and the values that are known.

use super::{Flag, Spec, commands};

/// What is at the head of each.
const HEAD: &str = "# Made by BLESS=1 cargo test --lib manual\n";

/// The words of `pushline spool`.
const SPOOL_VIEWS: [&str; 2] = ["list", "print"];

/// The word after `pushline` that is the command; empty for the first one.
fn word(command: &Spec) -> &'static str {
    command.name.strip_prefix("pushline").unwrap().trim_start()
}

/// Every form of every flag.
fn flag_names(command: &Spec) -> Vec<&'static str> {
    command.flags.iter().flat_map(|flag| flag.short.into_iter().chain([flag.name])).collect()
}

/// Every flag with a value, of any command, each once.
fn valued(commands: &[Spec]) -> Vec<&Flag> {
    let mut flags: Vec<&Flag> = Vec::new();
    for flag in commands.iter().flat_map(|command| &command.flags) {
        if flag.value.is_some() && !flags.iter().any(|known| known.name == flag.name) {
            flags.push(flag);
        }
    }
    flags
}

pub(super) fn bash() -> String {
    let commands = commands();
    let mut text = HEAD.to_owned();
    text.push_str(
        "_pushline() {\n    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n    \
         local words one command=\n    case $before in\n",
    );
    for flag in valued(&commands) {
        let found = match (flag.choices, flag.value) {
            ([], Some("FILE")) => "compgen -f -- \"$word\"".to_owned(),
            ([], Some("DIR")) => "compgen -d -- \"$word\"".to_owned(),
            ([], _) => "true".to_owned(),
            (choices, _) => format!("compgen -W '{}' -- \"$word\"", choices.join(" ")),
        };
        text.push_str(&format!(
            "        {}) mapfile -t COMPREPLY < <({found}) && return ;;\n",
            flag.name
        ));
    }
    text.push_str(
        "    esac\n    for one in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n        \
         case $one in convert | spool) command=$one && break ;; esac\n    done\n    case $command in\n",
    );
    for command in commands.iter().rev() {
        let (pattern, more) = match word(command) {
            "" => ("*", " convert spool"),
            "spool" => ("spool", " list print"),
            word => (word, ""),
        };
        let flags = flag_names(command).join(" ");
        text.push_str(&format!("        {pattern}) words='{flags}{more}' ;;\n"));
    }
    text.push_str(
        "    esac\n    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n    \
         [[ $command != convert || $word == -* ]] || mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n}\n\
         complete -o filenames -F _pushline pushline\n",
    );
    text
}

/// A text within single quotes of any shell of the three.
fn quoted(text: &str) -> String {
    text.replace('\'', "").replace('[', "(").replace(']', ")").replace(':', " -")
}

pub(super) fn zsh() -> String {
    let mut text = format!("#compdef pushline\n{HEAD}\n");
    for command in commands() {
        let name = match word(&command) {
            "" => "_pushline_serve".to_owned(),
            word => format!("_pushline_{word}"),
        };
        text.push_str(&format!("{name}() {{\n    _arguments \\\n"));
        for flag in &command.flags {
            let about = quoted(flag.about);
            let value = match (flag.value, flag.choices) {
                (None, _) => String::new(),
                (Some("FILE"), _) => ":file:_files".to_owned(),
                (Some("DIR"), _) => ":folder:_files -/".to_owned(),
                (Some(value), []) => format!(":{value}: "),
                (Some(value), choices) => format!(":{value}:({})", choices.join(" ")),
            };
            let many = if flag.about.contains("may be repeated") { "*" } else { "" };
            for name in flag.short.into_iter().chain([flag.name]) {
                text.push_str(&format!("        '{many}{name}[{about}]{value}' \\\n"));
            }
        }
        let rest = match word(&command) {
            "" => "'1:command:(convert spool)'".to_owned(),
            "spool" => format!("'1:view:({})'", SPOOL_VIEWS.join(" ")),
            _ => "'1:body:_files'".to_owned(),
        };
        text.push_str(&format!("        {rest}\n}}\n\n"));
    }
    text.push_str(
        "_pushline() {\n    local place=${words[(i)(convert|spool)]}\n    \
         if ((place < CURRENT)); then\n        local command=${words[place]}\n        \
         words=(\"${(@)words[place,-1]}\")\n        ((CURRENT -= place - 1))\n        \
         _pushline_$command\n    else\n        _pushline_serve\n    fi\n}\n\n_pushline \"$@\"\n",
    );
    text
}

pub(super) fn fish() -> String {
    let mut text = HEAD.to_owned();
    text.push_str("complete -c pushline -f\n");
    for command in commands() {
        let condition = match word(&command) {
            "" => "not __fish_seen_subcommand_from convert spool".to_owned(),
            word => {
                let about = quoted(command.about);
                text.push_str(&format!(
                    "complete -c pushline -n 'not __fish_seen_subcommand_from convert spool' \
                     -a {word} -d '{about}'\n"
                ));
                format!("__fish_seen_subcommand_from {word}")
            }
        };
        for flag in &command.flags {
            let short = flag.short.map(|short| format!(" -s {}", short.trim_start_matches('-')));
            let short = short.unwrap_or_default();
            let value = match (flag.value, flag.choices) {
                (None, _) => String::new(),
                (Some("FILE"), _) => " -r -F".to_owned(),
                (Some("DIR"), _) => " -x -a '(__fish_complete_directories)'".to_owned(),
                (Some(_), []) => " -x".to_owned(),
                (Some(_), choices) => format!(" -x -a '{}'", choices.join(" ")),
            };
            let (name, about) = (flag.name.trim_start_matches("--"), quoted(flag.about));
            text.push_str(&format!(
                "complete -c pushline -n '{condition}' -l {name}{short}{value} -d '{about}'\n"
            ));
        }
        match word(&command) {
            "convert" => text.push_str(&format!("complete -c pushline -n '{condition}' -F\n")),
            "spool" => text.push_str(&format!(
                "complete -c pushline -n '{condition}' -a '{}'\n",
                SPOOL_VIEWS.join(" ")
            )),
            _ => {}
        }
    }
    text
}

#[test]
fn each_choice_is_one_that_the_command_takes() {
    let mut count = 0;
    for command in commands() {
        for flag in &command.flags {
            for choice in flag.choices {
                let words = [word(&command), flag.name, choice].map(std::ffi::OsString::from);
                assert!(
                    crate::app::cli::parse(words.into_iter()).is_ok(),
                    "{} {choice}",
                    flag.name
                );
                count += 1;
            }
        }
    }
    for view in SPOOL_VIEWS {
        let words = ["spool", view].map(std::ffi::OsString::from);
        assert!(crate::app::cli::parse(words.into_iter()).is_ok(), "{view}");
    }
    assert_eq!(count, 7);
}
