"""What spotdeploy keeps on this computer: the journal and the lock."""
