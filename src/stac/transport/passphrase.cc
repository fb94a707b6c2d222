#include <cstdlib>
#include <string>

#include "stac/base/file.h"
#include "stac/transport/srt_link.h"

namespace stac {

Result<std::string> PassphraseFromEnvironment() {
  std::string passphrase;
  const char* source = "STAC_PASSPHRASE";
  if (const char* file = std::getenv("STAC_PASSPHRASE_FILE"); file != nullptr && *file != 0) {
    source = "the file named by STAC_PASSPHRASE_FILE";
    STAC_ASSIGN_OR_RETURN(const Bytes contents, ReadFile(file, 4096));
    passphrase = AsText(contents);
    passphrase.resize(std::min(passphrase.find_first_of("\r\n"), passphrase.size()));
    if (passphrase.empty()) return Fail("{} is empty; put a passphrase into it", source);
  } else if (const char* text = std::getenv("STAC_PASSPHRASE")) {
    passphrase = text;
    if (passphrase.empty()) return passphrase;
  } else {
    return passphrase;
  }
  if (passphrase.size() < 10 || passphrase.size() > 79) {
    return Fail("the passphrase in {} has {} bytes; it must have 10 to 79", source,
                passphrase.size());
  }
  return passphrase;
}

}  // namespace stac
