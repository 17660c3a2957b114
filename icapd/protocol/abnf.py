"""The grammar of ICAP/1.0, each regular expression under the rule it implements, and the size limits.

Single characters and sets are matched with possessive quantifiers, so that no input makes them
backtrack. Groups never are: before Python 3.11.5 those match wrongly (CPython issue 106052).
Source: RFC 3507 §4.3-§4.5; RFC 2616 §2.2, §3.6.1, §4.2 for what it borrows.
"""

import re

# Limits in bytes. Whatever a peer announces, no more than this is held for it.
MAX_LINE = 8 * 1024  # request or status line: Squid's service URIs take 100
MAX_ICAP_HEAD = 64 * 1024  # Squid's own limit for a reply head
MAX_FIELDS = 1000  # lines of fields in it: Squid sends a dozen, and joining equal names must stay cheap
MAX_ENCAPSULATED = 256  # the longest legal value takes 50, so padding is all that is refused
MAX_HTTP_HEADS = 128 * 1024  # request and response head together, 64 KB each in Squid
MAX_CHUNK_LINE = 4 * 1024  # chunk-size with extensions
MAX_TRAILER = 16 * 1024
MAX_CHUNK = 0x7FFF_FFFF_FFFF_FFFF  # 16 hex digits pass the grammar, this passes the arithmetic

# token = 1*<any CHAR except CTLs or separators>   (RFC 2616 §2.2)
TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"

# message-header = field-name ":" [ field-value ], folded over lines that begin with SP or HT (RFC 2616 §4.2);
# NUL, bare CR and bare LF are refused: two readers would disagree where the line ends.

# One unfolded field, and one line that folds it.
FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++:[^\x00\r\n]*+")
FOLD = re.compile(rb"[ \t][^\x00\r\n]*+")

# Request-Line = Method SP ICAP_URI SP ICAP-Version   (RFC 3507 §4.3.2)
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([\x21-\x7e]++) ICAP/(\d{1,3}+)\.(\d{1,3}+)")

# ICAP_URI = Scheme ":" Net_Path [ "?" Query ]; scheme is icap or icaps in any case   (RFC 3507 §4.2)
URI = re.compile(rb"(?i:icaps?)://(?:[^/?#@\s]*+@)?([^/?#@\s]++)(/[^?#\s]*+)?(?:\?[^#\s]*+)?")

# Status-Line = ICAP-Version SP Status-Code SP Reason-Phrase   (RFC 3507 §4.3.3)
STATUS_LINE = re.compile(rb"ICAP/1\.0 (\d{3})(?: ([^\x00\r\n]*+))?")

# encapsulated-entity = name "=" decimal offset; ten digits hold any legal one   (RFC 3507 §4.4.1)
ENTITY = re.compile(rb"[ \t]*(req-hdr|res-hdr|req-body|res-body|opt-body|null-body)=(\d{1,10}+)[ \t]*")

# chunk-size [ chunk-extension ]   (RFC 2616 §3.6.1, errata e8); trailing blanks are common and harmless
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16}+)[ \t]*+((?:;[^\x00\r\n]*+)?)")
# chunk-extension = *( ";" chunk-ext-name [ "=" ( token | quoted-string ) ] ), matched one by one
EXTENSION = re.compile(
    rb";[ \t]*+(" + TOKEN + rb")(?:[ \t]*+=[ \t]*+(\"[^\"\\]*+(?:\\.[^\"\\]*+)*\"|" + TOKEN + rb"))?[ \t]*+"
)
