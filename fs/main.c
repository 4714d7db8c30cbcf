#include "fs/cmd.h"

int main(int argc, char **argv)
{
	return sw_cmd_main(argc, argv);
}
