#!/bin/sh
# Each public header compiles alone, as C11 and as C++11, 17 and 20, without a warning.
failed=0
for header in include/imgq/*.h; do
    unit="#include <imgq/$(basename "$header")>
int unit;"
    echo "$unit" | ${CC:-gcc} -std=c11 -Wall -Wextra -Wpedantic -Werror -Iinclude -fsyntax-only -x c - || failed=1
    for std in c++11 c++17 c++20; do
        echo "$unit" | ${CXX:-g++} -std=$std -Wall -Wextra -Werror -Iinclude -fsyntax-only -x c++ - || failed=1
    done
done
exit $failed
