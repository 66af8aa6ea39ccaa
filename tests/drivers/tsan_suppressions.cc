// The thread sanitizer does not see inside these libraries: it misses their atomic counts and
// waits, and takes what they do for races. libusb's synchronous transfers wait for a plain int
// (libusb, sync.c). Unused in other builds.
extern "C" const char* __tsan_default_suppressions();  // NOLINT: the sanitizer names it so

extern "C" const char* __tsan_default_suppressions() {  // NOLINT
  return "called_from_lib:libumockdev.so\n"
         "called_from_lib:libudev.so\n"
         "called_from_lib:libgio-2.0.so\n"
         "called_from_lib:libgobject-2.0.so\n"
         "called_from_lib:libglib-2.0.so\n"
         "race:libumockdev.so\n"
         "race:libudev.so\n"
         "race:libusb_free_transfer\n";
}
