//! Room for host/yaml.
