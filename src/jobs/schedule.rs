//! What a scheduler wants to know: takes a command line and when to run it; gives a line for crontab, or a service and a timer
//! for systemd.
//!
//! Both run in local time, as the machine's time zone has it, and differ where that has a gap: cron runs what fell into it right
//! after, systemd leaves it out. Nothing is installed.

use std::fmt;
use std::str::FromStr;

/// How often a job runs, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Every hour, at its beginning.
    Hourly,
    /// Every day.
    Daily(Time),
    /// Every week.
    Weekly(Day, Time),
}

/// A time of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    hour: u8,
    minute: u8,
}

/// A day of the week: 0 is Sunday, as in crontab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day(usize);

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// What is run.
#[derive(Debug, Clone)]
pub struct Command {
    /// What the units are called.
    pub name: String,
    /// The program and its arguments; the program's path is absolute.
    pub arguments: Vec<String>,
    /// The folder that relative paths in the job's SQL begin at.
    pub folder: String,
    /// The Debut home.
    pub home: String,
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let two = |digits: &str, below: u8| {
            let number = digits.parse().ok().filter(|number| *number < below);
            number.filter(|_| (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let time = text.split_once(':').and_then(|(hour, minute)| {
            let minute = two(minute, 60).filter(|_| minute.len() == 2)?;
            Some(Self { hour: two(hour, 24)?, minute })
        });
        time.ok_or_else(|| format!("'{text}' is not a time: write HH:MM, such as 02:00"))
    }
}

impl FromStr for Day {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let short = text.get(..3).unwrap_or_default();
        let named = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
        let text_is = |name: &str| {
            text.eq_ignore_ascii_case(name) || (text.len() == 3 && name.starts_with(&short.to_ascii_lowercase()))
        };
        let day = named.into_iter().position(text_is);
        day.map(Self).ok_or_else(|| format!("'{text}' is not a day: write mon, tue, wed, thu, fri, sat or sun"))
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |time: &Time| format!("{:02}:{:02}", time.hour, time.minute);
        match self {
            Self::Hourly => f.write_str("every hour"),
            Self::Daily(at) => write!(f, "every day at {}", time(at)),
            Self::Weekly(day, at) => write!(f, "every {} at {}", DAYS[day.0], time(at)),
        }
    }
}

impl When {
    fn cron(self) -> String {
        match self {
            Self::Hourly => "0 * * * *".to_owned(),
            Self::Daily(at) => format!("{} {} * * *", at.minute, at.hour),
            Self::Weekly(day, at) => format!("{} {} * * {}", at.minute, at.hour, day.0),
        }
    }

    /// What is to be known of times that a night in spring does not have, somewhere.
    fn clock_changes(self) -> &'static str {
        match self {
            Self::Daily(at) | Self::Weekly(_, at) if at.hour < 4 => {
                "# Where clocks go forward at this hour, systemd leaves that night out; with UTC behind the time it does not.\n"
            }
            _ => "",
        }
    }

    fn calendar(self) -> String {
        match self {
            Self::Hourly => "hourly".to_owned(),
            Self::Daily(at) => format!("*-*-* {:02}:{:02}:00", at.hour, at.minute),
            Self::Weekly(day, at) => format!("{} *-*-* {:02}:{:02}:00", DAYS[day.0], at.hour, at.minute),
        }
    }
}

/// Lines for crontab: comments, and the one that runs the command.
pub fn crontab(command: &Command, when: When) -> String {
    let arguments: Vec<String> = command.arguments.iter().map(|argument| shell(argument)).collect();
    let line = format!("cd {} && DEBUT_HOME={} {}", shell(&command.folder), shell(&command.home), arguments.join(" "));
    // To cron a percent sign ends the line, quoted or not.
    let line = line.replace('%', "\\%");
    format!(
        "# {}: {when}. To install: crontab -e, and add the line below.\n\
         # Cron mails what the job prints. It does not try again: a run that ends with status 75 left its work to the next.\n\
         {} {line}\n",
        command.name,
        when.cron()
    )
}

/// A service and the timer that starts it, each under a comment that says where it goes.
pub fn systemd(command: &Command, when: When) -> String {
    let Command { name, folder, home, .. } = command;
    let (program, rest) = command.arguments.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    // In the path of the program itself, dollars are what they are.
    let mut arguments = vec![quoted(program)];
    arguments.extend(rest.iter().map(|argument| quoted(&argument.replace('$', "$$"))));
    format!(
        "# {name}: {when}. To install for your user, save the two files and then:\n\
         #   systemctl --user daemon-reload && systemctl --user enable --now {name}.timer\n\
         #   loginctl enable-linger    lets it run while you are not logged in\n\
         # What it says: journalctl --user -u {name}. What it did: SELECT * FROM debut.jobs.\n\
         \n\
         # ~/.config/systemd/user/{name}.service\n\
         [Unit]\n\
         Description=Debut job {}\n\
         StartLimitIntervalSec=1h\n\
         StartLimitBurst=5\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         # Once more where that may help: not after a mistake in the SQL (1) or in the command line (2).\n\
         Restart=on-failure\n\
         RestartPreventExitStatus=1 2\n\
         RestartSec=10min\n\
         WorkingDirectory={}\n\
         Environment={}\n\
         ExecStart={}\n\
         \n\
         # ~/.config/systemd/user/{name}.timer\n\
         [Unit]\n\
         Description=Debut job {}, {when}\n\
         \n\
         [Timer]\n\
         {}OnCalendar={}\n\
         Persistent=true\n\
         \n\
         [Install]\n\
         WantedBy=timers.target\n",
        name,
        folder.replace('%', "%%"),
        quoted(&format!("DEBUT_HOME={home}")),
        arguments.join(" "),
        name,
        when.clock_changes(),
        when.calendar()
    )
}

/// A word of a shell's command line.
fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,+@".contains(c);
    if !word.is_empty() && word.chars().all(plain) && !word.starts_with('=') {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// A word of a unit's file.
fn quoted(word: &str) -> String {
    let word = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    if word.contains(|c: char| c.is_whitespace() || "\"'\\;".contains(c)) || word.is_empty() {
        return format!("\"{word}\"");
    }
    word
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn command() -> Command {
        Command {
            name: "debut-nightly".into(),
            arguments: ["/opt/my tools/debut", "run", "/srv/50% off/it's.sql", "--param", "a=$x \"y\" \\z"]
                .map(String::from)
                .into(),
            folder: "/srv/50% off".into(),
            home: "/var/lib/debut".into(),
        }
    }

    #[test]
    fn times_and_days_are_read_strictly() {
        assert_eq!("2:05".parse::<Time>().unwrap(), Time { hour: 2, minute: 5 });
        for wrong in ["24:00", "2:60", "2", "2:5", "+2:00", "", "02:00:00", "a:bc"] {
            assert!(wrong.parse::<Time>().is_err(), "{wrong}");
        }
        assert_eq!("MON".parse::<Day>().unwrap(), Day(1));
        assert_eq!("saturday".parse::<Day>().unwrap(), Day(6));
        for wrong in ["m", "mo", "mond", "", "1", "tues", "äää"] {
            assert!(wrong.parse::<Day>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_crontab_line_is_quoted_for_cron_and_the_shell() {
        let text = crontab(&command(), When::Weekly(Day(1), Time { hour: 2, minute: 5 }));
        let line = text.lines().last().unwrap();
        assert!(text.lines().rev().skip(1).all(|line| line.starts_with('#')));
        let expected = r#"5 2 * * 1 cd '/srv/50\% off' && DEBUT_HOME=/var/lib/debut '/opt/my tools/debut' run '/srv/50\% off/it'\''s.sql' --param 'a=$x "y" \z'"#;
        assert_eq!(line, expected);
        assert!(crontab(&command(), When::Hourly).contains("\n0 * * * * cd "));
        assert!(crontab(&command(), When::Daily(Time { hour: 23, minute: 0 })).contains("\n0 23 * * * cd "));
    }

    #[test]
    fn units_are_quoted_for_systemd() {
        let text = systemd(&command(), When::Daily(Time { hour: 2, minute: 0 }));
        assert!(text.contains("\nWorkingDirectory=/srv/50%% off\n"), "{text}");
        let start = r#"ExecStart="/opt/my tools/debut" run "/srv/50%% off/it's.sql" --param "a=$$x \"y\" \\z""#;
        assert!(text.contains(start), "{text}");
        assert!(text.contains("\nOnCalendar=*-*-* 02:00:00\n"), "{text}");
    }
}
