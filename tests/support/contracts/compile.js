// Compiles Vault.sol with the solc and the OpenZeppelin contracts of .peers; prints the bytecode.
const fs = require("fs");
const path = require("path");
const modules = process.argv[2];
const solc = require(path.join(modules, "solc"));
const input = {
  language: "Solidity",
  sources: { "Vault.sol": { content: fs.readFileSync(path.join(__dirname, "Vault.sol"), "utf8") } },
  settings: { outputSelection: { "*": { Vault: ["evm.bytecode.object"] } } },
};
const find = (name) => ({ contents: fs.readFileSync(path.join(modules, name), "utf8") });
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: find }));
const failed = (output.errors || []).filter((one) => one.severity === "error");
if (failed.length) {
  console.error(failed.map((one) => one.formattedMessage).join("\n"));
  process.exit(1);
}
console.log(output.contracts["Vault.sol"].Vault.evm.bytecode.object);
