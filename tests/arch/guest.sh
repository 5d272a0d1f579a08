#!/bin/sh
# The libraries are good guests: they import nothing that exits, prints, forks, or touches signals and locale.
found=$(nm -D --undefined-only "$1"/libimgq.so "$1"/libimgq-client.so |
    grep -E ' U (_*(exit|abort|fork|system|popen|signal|sigaction|setlocale|puts|putchar|v?f?printf|perror|assert_fail)(_chk)?|stdout|stderr)(@|$)')
[ -z "$found" ] && exit 0
echo "imported by the libraries:"
echo "$found"
exit 1
