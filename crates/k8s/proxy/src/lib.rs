//! Services in nf_tables maps, and the cluster's DNS.
