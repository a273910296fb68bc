"""`kataribe traces`: what one request has caused."""
