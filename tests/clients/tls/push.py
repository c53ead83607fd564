"""Pushes once over TLS by the standard library: push.py URL CA [CERTIFICATE KEY]"""

import ssl
import sys
import urllib.request

url, authority, *own = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
if own:
    context.load_cert_chain(*own)
request = urllib.request.Request(url, data=b"a_b 1\n", method="POST")
with urllib.request.urlopen(request, context=context, timeout=20) as answer:
    assert answer.status == 200, answer.status
