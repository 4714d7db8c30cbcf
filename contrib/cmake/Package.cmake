# `cpack -G DEB` in a build directory makes a Debian package of it.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME swarmfs)
set(CPACK_PACKAGE_VENDOR swarmfs)
set(CPACK_PACKAGE_CONTACT "The swarmfs authors <swarmfs@swarmfs.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "replicated, versioned database mounted as a directory tree")
set(CPACK_PACKAGE_DESCRIPTION "Tables are directories, rows are files, and commits are snapshot folders. Every
write becomes part of a signed commit; peers find each other and pull what they
lack. There is no server and no leader: anyone may write, also while cut off
from everyone else, and all who hold the same commits show the same bytes.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION database)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "fuse3, libsqlite3-0 (>= 3.37)") # what the symbols say of SQLite is too old for STRICT tables
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
