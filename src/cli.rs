//! Raw arguments → what the operator asks for.
