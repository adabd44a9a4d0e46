//! Every path that an agent makes, in one place.
