from fl_node.cli.app import main

main()
