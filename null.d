null.o: /dev/null /usr/include/stdc-predef.h
