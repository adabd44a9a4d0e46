//! Who the user is at a registry, by the files that `podman login` and `docker login` write.

use anyhow::{Result, bail};
use docker_credential::{CredentialRetrievalError as Missing, DockerCredential, get_credential_from_reader};
use oci_client::secrets::RegistryAuth;
use std::env;
use std::path::PathBuf;
use std::prelude::v1::*;
use std::{format, vec};

/// The login for `repository` at `registry`; none is anonymous. Podman's file comes first: `$REGISTRY_AUTH_FILE`,
/// `$XDG_RUNTIME_DIR/containers/auth.json`, `~/.config/containers/auth.json`; then docker's, with its helpers.
pub fn find(registry: &str, repository: &str) -> Result<RegistryAuth> {
    for file in files() {
        let Ok(bytes) = std::fs::read(&file) else { continue };
        for key in keys(registry, repository) {
            match get_credential_from_reader(&bytes[..], &key) {
                Ok(DockerCredential::UsernamePassword(user, password)) => {
                    return Ok(RegistryAuth::Basic(user, password));
                }
                Ok(DockerCredential::IdentityToken(_)) => {
                    bail!(
                        "{} has an identity token for {key}, which is not used: log in with a name and a password or an access token",
                        file.display()
                    )
                }
                Err(Missing::NoCredentialConfigured) => {}
                // What helpers say of a registry where nobody has logged in.
                Err(Missing::HelperFailure { stdout, .. }) if stdout.contains("credentials not found") => {}
                Err(error) => bail!("{}: the login for {key}: {error}", file.display()),
            }
        }
    }
    Ok(RegistryAuth::Anonymous)
}

/// The path that a variable of the environment holds; an empty one is none.
fn path_in(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The directory that `variable` names, else the one called `under` in the user's home.
pub fn directory(variable: &str, under: &str) -> Option<PathBuf> {
    path_in(variable).or_else(|| path_in("HOME").map(|home| home.join(under)))
}

fn files() -> Vec<PathBuf> {
    if let Some(file) = path_in("REGISTRY_AUTH_FILE") {
        return vec![file];
    }
    [
        path_in("XDG_RUNTIME_DIR").map(|run| run.join("containers/auth.json")),
        directory("XDG_CONFIG_HOME", ".config").map(|config| config.join("containers/auth.json")),
        directory("DOCKER_CONFIG", ".docker").map(|docker| docker.join("config.json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What these files may call the registry: podman knows logins for a part of one, the longest first.
fn keys(registry: &str, repository: &str) -> Vec<String> {
    let whole = format!("{registry}/{repository}");
    let mut keys: Vec<String> = whole.match_indices('/').map(|(at, _)| whole[..at].to_owned()).collect();
    keys.push(whole.clone());
    keys.reverse();
    if registry == "docker.io" {
        keys.push("https://index.docker.io/v1/".into());
    }
    keys
}

/// The certificates that the user trusts for `registry`: `*.crt` in podman's and docker's directories of that name.
pub fn authorities(registry: &str) -> Result<Vec<Vec<u8>>> {
    let home = path_in("HOME").map(|home| home.join(".config/containers/certs.d"));
    let places = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from).into_iter().chain(home);
    let mut found = vec![];
    for directory in places.map(|place| place.join(registry)) {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|end| end == "crt") {
                found.push(std::fs::read(&path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_part_of_a_registry_comes_first() {
        assert_eq!(keys("here.test", "team/app"), ["here.test/team/app", "here.test/team", "here.test"]);
        let docker = keys("docker.io", "library/nginx");
        assert_eq!(docker.last().unwrap(), "https://index.docker.io/v1/");
    }
}
