//! Calls of the operating system that std lacks, each as one safe function. The only file that names
//! rustix.
