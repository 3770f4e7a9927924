//! The project file alone.

use super::{names, secrets, unknown};
use crate::name;
use crate::project::Project;
use obmen_diagnostics::{Problems, code};

/// Reports what is wrong with `obmen.yaml` alone. `connectors` are those the program has, by the word after `type:`;
/// their settings are checked by themselves.
pub fn project(project: &Project, connectors: &[&str], problems: &mut Problems) {
    name::check(&project.project, "project", problems);
    let profiles: Vec<&str> = project.profiles.names().collect();
    if let Some(profile) = &project.profile
        && !profiles.contains(&profile.as_str())
    {
        unknown(code::UNKNOWN_PROFILE, "profile", profile, &profiles, problems);
    }
    names::unique(code::NAME_CLASH, project.profiles.iter().map(|(name, _)| (name, "profile")), problems);
    for (name, profile) in project.profiles.iter() {
        name::check(name, "profile", problems);
        if let Some(segments) = &profile.segments {
            secrets::check(segments, problems);
        }
        names::unique(code::NAME_CLASH, profile.connections.iter().map(|(name, _)| (name, "connection")), problems);
        for (name, connection) in profile.connections.iter() {
            name::check(name, "connection", problems);
            if !connectors.contains(&connection.kind.as_str()) {
                unknown(code::UNKNOWN_CONNECTOR, "connector", &connection.kind, connectors, problems);
            }
            secrets::check(&connection.settings, problems);
        }
    }
}
