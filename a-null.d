null.o: /dev/null tests/lib/cm.h core/base/str.h
tests/lib/cm.h:
core/base/str.h:
