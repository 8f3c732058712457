// Starts `knowreason lsp` for rule files, and for the project files beside them.
const { window, workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

async function activate() {
  const [command, ...args] = workspace.getConfiguration("knowreason").get("command");
  client = new LanguageClient(
    "knowreason",
    { command, args },
    {
      documentSelector: [
        { language: "knowreason", pattern: "**/*.kr" },
        { pattern: "**/knowreason.toml" },
      ],
    },
  );
  try {
    await client.start();
  } catch (error) {
    window.showErrorMessage(`${command} does not start: pip install 'knowreason[lsp]' (${error})`);
  }
}

module.exports = { activate, deactivate: () => client?.stop() };
