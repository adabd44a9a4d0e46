//! Room for host/oci.
